"""Equal parts of requests as one object."""

from sluicectld.state.sharing import Sharing
from tests.builders import make_spec


def test_equal_parts_of_two_requests_are_one_object():
    sharing = Sharing()
    one = sharing.share(make_spec(1, partitions=("batch",), features="a&b"))
    other = sharing.share(make_spec(2, partitions=("ba" + "tch",), features="".join(["a", "&b"])))

    assert one.partitions is other.partitions
    assert one.features is other.features
    assert one.given is other.given


def test_equal_requests_are_one_object():
    sharing = Sharing()

    assert sharing.share(make_spec(1, features="a")) is sharing.share(make_spec(1, features="".join("a")))
    assert sharing.share(make_spec(1, features="a")) is not sharing.share(make_spec(1, features="b"))


def test_a_shared_request_is_equal_to_what_was_asked():
    spec = make_spec(2, ntasks=3, features="x")

    assert Sharing().share(spec) == spec
