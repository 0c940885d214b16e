"""A model's evaluations show on the Hub as a model index; the oracle is huggingface_hub, which reads the card anew."""

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from umbrella.files.json_files import write_json
from umbrella.hub.cards import build_model_card
from umbrella.hub.eval_results import UNNAMED
from umbrella.options.push_arguments import PushModelArguments

REPO = "tester/model"


def make_metrics(split, values, **facts):
    entries = {name: {"value": value, "interval": value and [value / 2, value]} for name, value in values.items()}
    return {"split": split, "n": 40, "n_subjects": 20, "metrics": entries, **facts}


def load_card(tmp_path, evaluations):
    """The card of a model with these evaluations, from its file."""
    for folder, metrics in evaluations.items():
        (tmp_path / folder).mkdir()
        write_json(tmp_path / folder / "metrics.json", metrics)
    card = build_model_card(tmp_path, REPO, PushModelArguments(model="m", repo_id=REPO), {})
    card.save(tmp_path / "README.md")
    return ModelCard.load(tmp_path / "README.md")


def describe(result):
    dataset = (result.dataset_type, result.dataset_name, result.dataset_split)
    return (*dataset, result.metric_type, result.metric_name, result.metric_value)


def test_a_card_has_each_metric_once_with_its_value_and_where_it_was_measured(tmp_path):
    labels = make_metrics("test", {"accuracy": 0.9, "macro_f1": 0.123456789, "auroc": None, "sensitivity_Roe": 0.5})
    numbers = make_metrics("validation", {"mae": 3, "pearson_r": -0.5, "r2": float("nan")}, dataset_name="me/heads")
    card = load_card(tmp_path, {"eval": labels, "eval_validation": numbers})
    assert card.data.model_name == "model"
    assert (
        {result.task_type for result in card.data.eval_results} == {card.data.pipeline_tag} == {"image-text-to-text"}
    )
    assert list(map(describe, card.data.eval_results)) == [
        ("json", UNNAMED, "test", "accuracy", "accuracy", 0.9),
        ("json", UNNAMED, "test", "f1", "macro f1", 0.123456789),
        ("me/heads", "me/heads", "validation", "mae", "mae", 3),
        ("me/heads", "me/heads", "validation", "pearsonr", "pearson r", -0.5),
    ]
    assert "Roe" not in str(card.data) and "| sensitivity Roe | 0.500 |" in card.text
    assert "| accuracy | 0.900 | 0.450 to 0.900 |" in card.text
    again = ModelCardData(**card.data.to_dict())
    assert again.eval_results == card.data.eval_results
    assert all(isinstance(result, EvalResult) for result in again.eval_results)


def test_evaluations_of_the_same_split_are_told_apart(tmp_path):
    values = {"eval_age": {"mae": 3.5}, "eval_sex": {"accuracy": 0.75}, "eval_sex_small": {"accuracy": 0.5}}
    evaluations = {folder: make_metrics("test", one) for folder, one in values.items()}
    results = load_card(tmp_path, evaluations).data.eval_results
    assert {result.metric_name: result.metric_value for result in results} == {
        "mae, eval_age": 3.5,
        "accuracy, eval_sex": 0.75,
        "accuracy, eval_sex_small": 0.5,
    }


def test_a_card_without_evaluations_has_no_model_index(tmp_path):
    data = load_card(tmp_path, {}).data
    assert data.eval_results is None
    assert not {"model-index", "model_name", "eval_results"} & set(data.to_dict())


def test_an_older_evaluation_with_its_accuracy_alone_is_in_the_index(tmp_path):
    (result,) = load_card(tmp_path, {"eval": {"split": "test", "accuracy": 0.5}}).data.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.5)


def test_limits_stand_with_the_use_once_and_what_speaks_for_the_model_with_its_numbers(tmp_path):
    weak = {"verdict": "ignores", "sentence": "It does not use the *reference* scan."}
    strong = {"verdict": "uses", "sentence": "It uses the subject's scan."}
    evidence = {"robustness": {"sentences": ["Noise does nothing.", "Blur flips it."], "limits": ["Blur flips it."]}}
    metrics = make_metrics(
        "test", {"accuracy": 0.9}, verdicts={"reference": weak, "subject": strong}, evidence=evidence
    )
    text = load_card(tmp_path, {"eval": metrics}).text
    use, numbers = text.split("## Training data")
    assert "\nIts evaluations found:\n\n- It does not use the \\*reference\\* scan.\n- Blur flips it.\n" in use
    assert "\n- It uses the subject's scan.\n" in numbers and "Noise" not in text
    assert text.count("reference\\*") == text.count("Blur flips it.") == 1


def test_limits_of_several_evaluations_are_told_apart_and_without_any_nothing_is_said(tmp_path):
    weak = {"subject": {"verdict": "ignores", "sentence": "It does not use the scan."}}
    several = {"eval": make_metrics("test", {"accuracy": 0.9}), "eval_b": make_metrics("test", {}, verdicts=weak)}
    assert "- eval\\_b: It does not use the scan.\n" in load_card(tmp_path, several).text
    (tmp_path / "one").mkdir()
    assert "found:" not in load_card(tmp_path / "one", {"eval": make_metrics("test", {"accuracy": 0.9})}).text
