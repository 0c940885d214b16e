"""Conversations about brain scans into a trained, evaluated and published vision-language model.

Rooms, in the order of the data's way; each imports only from those above it:

    files           here, in stores and in shards; written whole or not at all; JSON, YAML
    options         every flag, the YAML, how a command ends
    scans           a scan's file → volume
    views           volume → planes, montages; augmentation; the cache of views
    conversations   turns → text → tokens and labels
    models          find, load, freeze, adapt
    records         what is written beside a model
    rows            which rows, filters, order, transform, collator
    answers         ask a model and read what it says
    privacy         personal data: find, clean
    hub             export, publish
    training        the Trainer and what surrounds a run
    evaluation      controls, verdicts, intervals, comparisons
    planning        before a run: memory, throughput, volumes, the size of a test set
    report          pages to look at
    validation      all problems of a data folder in one pass
    cohort          BIDS, a table or DICOM → conversations with honest splits

`dataloaders` is the training guide's API. A room's `__all__` names the modules that others may import.

To import this package makes its models for volumes known to transformers: `AutoModelForImageTextToText` and
`AutoProcessor` load them.
"""

from umbrella.models.volumes.late_registration import register_when_loaded

register_when_loaded()
