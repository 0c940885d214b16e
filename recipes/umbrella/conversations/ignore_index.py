"""The label of a token that is not learned."""

IGNORE_INDEX = -100  # torch.nn.CrossEntropyLoss leaves these positions out
