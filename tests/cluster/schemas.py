"""The schemas of Kubernetes and KEDA, with no room for a misspelt field."""

import copy

import jsonschema
import kubernetes_validate
from cloudcoil.models.keda import v1alpha1

from rendered import name

VERSION = "1.37"


def strict(schema):
    """The same schema, where every object with known properties has no others."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    tight = {key: strict(value) for key, value in schema.items()}
    if "properties" in tight and isinstance(tight["properties"], dict):
        tight.setdefault("additionalProperties", False)
    return tight


KEDA = strict(copy.deepcopy(v1alpha1.ScaledObject.model_json_schema()))


def faults(objects: list):
    for thing in objects:
        if thing["kind"] == "ScaledObject":
            errors = jsonschema.Draft202012Validator(KEDA).iter_errors(thing)
            yield from (f"{name(thing)}: {error.json_path}: {error.message[:200]}" for error in errors)
        elif thing["kind"] == "PodMonitor":
            # No schema of it is to be had here; the forms check its selector, and kinds its name.
            continue
        else:
            try:
                kubernetes_validate.validate(thing, VERSION, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                yield f"{name(thing)}: {str(error)[:300]}"
