"""Answers to the questions of Gadgetron's client (`gadgetron_ismrmrd_client -Q`)."""

from __future__ import annotations

from knerve.datasets.provenance import software_version
from knerve.server.messages import Response

UNKNOWN = "Unknown query"


def answer_to(correlation_id: int, question: str) -> Response:
    """The answer, with the question's correlation id; what a stranger need not know is unknown."""
    answers = {
        "ismrmrd::version": software_version("ismrmrd"),
        "gadgetron::version": f"none: this is knerve {software_version()}",
        "knerve::version": software_version(),
    }
    return Response(correlation_id, answers.get(question.strip(), UNKNOWN))
