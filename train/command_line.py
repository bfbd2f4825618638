"""What the commands share in reading their options."""

import sys

from pydantic import BaseModel, ModelWrapValidatorHandler, ValidationError, model_validator

from train.config import describe


class OneLineFaults(BaseModel):
    """Options whose faults end the command: Tyro would show Pydantic's error as it is, with type and address."""

    @model_validator(mode="wrap")
    @classmethod
    def _faults_in_one_line(
        cls, values: dict[str, object], validate: ModelWrapValidatorHandler["OneLineFaults"]
    ) -> "OneLineFaults":
        try:
            return validate(values)
        except ValidationError as error:
            sys.exit(f"error: {'; '.join(describe(error))}")
