"""Records as JSON and back: maps without their defaults, as they are on the wire.

A job is kept without its spec, which many jobs share and which never changes; it comes back with the spec that its
spec_id names.
"""

from operator import attrgetter
from typing import Any

import msgspec

from sluice.model.job import Job
from sluice.model.node import Node
from sluice.model.partition import Partition
from sluice.model.request import JobSpec
from sluice.model.reservation import Reservation
from sluice.model.step import Step

_life_fields = [field for field in msgspec.structs.fields(Job) if field.name != "spec"]
_life_names = tuple(field.name for field in _life_fields)
_life_of = attrgetter(*_life_names)


def _struct_field(field: msgspec.structs.FieldInfo) -> Any:
    return (field.name, field.type) if field.required else (field.name, field.type, field.default)


#: A job's fields but for its spec.
_Life: Any = msgspec.defstruct("Life", map(_struct_field, _life_fields), frozen=True, omit_defaults=True)


class HetPlace(msgspec.Struct, frozen=True):
    """Which component of which heterogeneous job a stored job is, and of how many."""

    het_job_id: int = 0
    het_offset: int = 0
    het_size: int = 0


_encoder = msgspec.json.Encoder()
_place_decoder = msgspec.json.Decoder(HetPlace)
_life_decoder = msgspec.json.Decoder(_Life)
_spec_decoder = msgspec.json.Decoder(JobSpec)
_step_decoder = msgspec.json.Decoder(Step)
_node_decoder = msgspec.json.Decoder(Node)
_partition_decoder = msgspec.json.Decoder(Partition)
_reservation_decoder = msgspec.json.Decoder(Reservation)


def encode(record: JobSpec | Step | Node | Partition | Reservation) -> str:
    """Return the record as JSON."""
    return _encoder.encode(record).decode()


def encode_job(job: Job) -> str:
    """Return the job as JSON, without its spec."""
    return _encoder.encode(_Life(*_life_of(job))).decode()


def decode_job(text: str, spec: JobSpec) -> Job:
    life = _life_decoder.decode(text)
    return Job(spec=spec, **dict(zip(_life_names, _life_of(life), strict=True)))


def decode_place(text: str) -> HetPlace:
    """Return what a stored job's text says of its place in a heterogeneous job."""
    return _place_decoder.decode(text)


def decode_spec(text: str) -> JobSpec:
    return _spec_decoder.decode(text)


def decode_step(text: str) -> Step:
    return _step_decoder.decode(text)


def decode_node(text: str) -> Node:
    return _node_decoder.decode(text)


def decode_partition(text: str) -> Partition:
    return _partition_decoder.decode(text)


def decode_reservation(text: str) -> Reservation:
    return _reservation_decoder.decode(text)
