"""The PMI server of a node: what ranks say, what they hear, when the step has to end."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluiced.pmi import text
from sluiced.pmi.layout import Layout
from sluiced.pmi.server import Action, Give, GiveUp, PmiServer, Reply

_INIT_1 = b"cmd=init pmi_version=1 pmi_subversion=1\n"
_INIT_2 = b"cmd=init pmi_version=2 pmi_subversion=0\n"


def make_server(ranks: Sequence[Sequence[int]] = ((0, 1),), position: int = 0) -> PmiServer:
    nodes = tuple(f"n{number + 1}" for number in range(len(ranks)))
    return PmiServer("12.0.0", Layout(nodes, tuple(map(tuple, ranks)), position))


def replies(actions: list[Action], rank: int) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Reply) and action.rank == rank)


def say(server: PmiServer, rank: int, *lines: str) -> str:
    """Return what *rank* hears at once."""
    return replies(server.on_bytes(rank, "".join(f"cmd={line}\n" for line in lines).encode()), rank).decode()


def message(line: str) -> bytes:
    command, _, rest = line.partition(" ")
    return text.format_message(command, dict(word.split("=", 1) for word in rest.split()))


def heard(data: bytes) -> str:
    """Return the body of PMI-2 messages."""
    assert int(data[:6]) == len(data) - 6
    return data[6:].decode()


def test_pmi_1_says_what_a_rank_asks_first() -> None:
    server = make_server([[0, 1], [2]])

    assert say(server, 0, "init pmi_version=1 pmi_subversion=1") == (
        "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n"
    )
    assert say(server, 0, "get_maxes", "get_appnum", "get_my_kvsname", "get_universe_size") == (
        "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024\n"
        "cmd=appnum appnum=0\n"
        "cmd=my_kvsname kvsname=12.0.0\n"
        "cmd=universe_size size=3\n"
    )
    assert say(server, 0, "get kvsname=12.0.0 key=PMI_process_mapping") == (
        "cmd=get_result rc=0 msg=success value=(vector,(0,1,2),(1,1,1))\n"
    )


def test_ranks_know_which_of_several_programs_they_run() -> None:
    server = PmiServer("12.0.0", Layout(("n1", "n2"), ((0,), (1, 2)), 1, (0, 1)))

    assert say(server, 1, "init pmi_version=1 pmi_subversion=1", "get_appnum").endswith("cmd=appnum appnum=1\n")
    server.on_bytes(2, _INIT_2)
    assert "appnum=1;" in heard(replies(server.on_bytes(2, message("fullinit")), 2))


def test_a_barrier_brings_what_other_nodes_have_put() -> None:
    """Two nodes; rank 2 of the other one is heard of by its piece."""
    here, there = make_server([[0, 1], [2]], 0), make_server([[0, 1], [2]], 1)
    for rank in (0, 1):
        here.on_bytes(rank, _INIT_1)
    there.on_bytes(2, _INIT_1)
    say(here, 0, "put kvsname=12.0.0 key=card-0 value=tcp://a b=c;d")
    say(there, 2, "put kvsname=12.0.0 key=card-2 value=x")

    assert here.on_bytes(0, b"cmd=barrier_in\n") == []
    (own,) = here.on_bytes(1, b"cmd=barrier_in\n")
    (other,) = there.on_bytes(2, b"cmd=barrier_in\n")
    assert isinstance(own, Give)
    assert isinstance(other, Give)
    assert own.key == other.key
    released = here.on_release((own.piece, other.piece))
    there.on_release((own.piece, other.piece))

    assert [replies(released, rank) for rank in (0, 1)] == [b"cmd=barrier_out\n"] * 2
    assert say(here, 1, "get kvsname=12.0.0 key=card-2").endswith("value=x\n")
    assert say(there, 2, "get kvsname=12.0.0 key=card-0").endswith("value=tcp://a b=c;d\n")
    assert say(there, 2, "get kvsname=12.0.0 key=none") == (
        "cmd=get_result rc=-1 msg=key_none_not_found value=unknown\n"
    )


def test_pmi_2_answers_in_its_own_form() -> None:
    server = make_server([[0, 1], [2, 3]])
    assert replies(server.on_bytes(1, _INIT_2), 1) == b"cmd=response_to_init pmi_version=2 pmi_subversion=0 rc=0\n"

    full = heard(replies(server.on_bytes(1, message("fullinit pmirank=1 thrid=7")), 1))

    assert full == (
        "cmd=fullinit-response;thrid=7;pmi-version=2;pmi-subversion=0;rank=1;size=4;appnum=0;debugged=FALSE;"
        "pmiverbose=FALSE;rc=0;"
    )
    mapping = heard(replies(server.on_bytes(1, message("info-getjobattr key=PMI_process_mapping")), 1))
    assert mapping == "cmd=info-getjobattr-response;found=TRUE;value=(vector,(0,2,2));rc=0;"
    assert heard(replies(server.on_bytes(1, message("kvs-get key=absent")), 1)) == (
        "cmd=kvs-get-response;found=FALSE;rc=0;"
    )


def test_a_node_attribute_can_be_waited_for() -> None:
    server = make_server()
    for rank in (0, 1):
        server.on_bytes(rank, _INIT_2)

    assert server.on_bytes(0, message("info-getnodeattr key=seg wait=TRUE")) == []
    actions = server.on_bytes(1, message("info-putnodeattr key=seg value=/x"))

    assert heard(replies(actions, 1)) == "cmd=info-putnodeattr-response;rc=0;"
    assert heard(replies(actions, 0)) == "cmd=info-getnodeattr-response;found=TRUE;value=/x;rc=0;"


def test_spawning_is_refused_with_what_to_do() -> None:
    server = make_server()
    server.on_bytes(0, _INIT_1)

    (reply,) = server.on_bytes(0, b"mcmd=spawn\nnprocs=2\nendcmd\n")

    assert isinstance(reply, Reply)
    assert reply.data == (b"cmd=spawn_result rc=-1 msg=spawning_is_not_supported:_ask_for_all_tasks_with_srun_-n\n")


def test_a_value_that_is_too_long_is_refused() -> None:
    server = make_server()
    server.on_bytes(0, _INIT_1)

    assert say(server, 0, f"put kvsname=k key=a value={'x' * 1025}").startswith("cmd=put_result rc=-1 msg=key_of_1")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param(b"cmd=abort exitcode=7\n", GiveUp("task 1 called abort: exit code 7", 1, 7), id="abort"),
        pytest.param(b"hello\n", GiveUp("task 1 does not speak PMI: no cmd= in 'hello'"), id="no PMI"),
    ],
)
def test_one_rank_can_end_the_step(said: bytes, told: GiveUp) -> None:
    server = make_server()
    server.on_bytes(1, _INIT_1)

    assert server.on_bytes(1, said) == [told]


def test_a_rank_that_leaves_without_finalize_ends_the_step() -> None:
    server = make_server()
    server.on_bytes(1, _INIT_1)

    assert server.on_closed(1) == [GiveUp("task 1 ended without MPI_Finalize")]
    assert server.on_closed(0) == [], "one that never spoke PMI"


def test_a_rank_that_said_finalize_may_go() -> None:
    server = make_server()
    assert say(server, 0, "init pmi_version=1 pmi_subversion=1", "finalize").endswith("cmd=finalize_ack\n")

    assert server.on_closed(0) == []


def test_a_barrier_that_a_gone_rank_will_never_enter_ends_the_step() -> None:
    """Rank 1 is no MPI program; rank 0 would wait for it for ever."""
    server = make_server()
    server.on_bytes(0, _INIT_1)
    server.on_closed(1)

    assert server.on_bytes(0, b"cmd=barrier_in\n") == [
        GiveUp("task 1 ended without MPI_Init, and others wait for it in a barrier")
    ]


_LINES = st.sampled_from(
    [
        b"cmd=get_maxes\n",
        b"cmd=put kvsname=k key=a value=1 2=3\n",
        b"cmd=get kvsname=k key=a\n",
        b"cmd=barrier_in\n",
        b"cmd=get_universe_size\n",
        b"mcmd=spawn\nx=1\nendcmd\n",
        b"cmd=nonsense\n",
    ]
)
_MESSAGES = st.sampled_from(
    [
        message("fullinit pmirank=0"),
        message("kvs-put key=a value=b"),
        message("kvs-get key=a"),
        message("info-getnodeattr key=q wait=TRUE"),
        message("info-putnodeattr key=q value=1"),
        message("kvs-fence thrid=3"),
        message("nonsense"),
    ]
)


@given(
    st.one_of(
        st.tuples(st.just(_INIT_1), st.lists(_LINES, max_size=8)),
        st.tuples(st.just(_INIT_2), st.lists(_MESSAGES, max_size=8)),
    ),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_replies_do_not_depend_on_how_bytes_are_cut(talk: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    """A single rank: what it hears in all is the same for one piece and for many."""
    data = talk[0] + b"".join(talk[1])

    def hear(pieces: list[bytes]) -> bytes:
        server = make_server([[0]])
        waiting = [action for piece in pieces for action in server.on_bytes(0, piece)]
        out = b""
        while waiting:
            action = waiting.pop(0)
            if isinstance(action, Reply):
                out += action.data
            elif isinstance(action, Give):
                waiting[:0] = server.on_release((action.piece,))
        return out

    position, pieces = 0, []
    for turn in range(len(data)):
        size = cuts[turn % len(cuts)]
        pieces.append(data[position : position + size])
        position += size

    assert hear(pieces) == hear([data])


@given(st.sampled_from([b"", _INIT_1, _INIT_2]), st.lists(st.binary(max_size=200), max_size=5))
def test_garbage_ends_the_step_at_worst(start: bytes, pieces: list[bytes]) -> None:
    server = make_server()
    server.on_bytes(0, start)
    for piece in pieces:
        for action in server.on_bytes(0, piece):
            assert isinstance(action, Reply | Give | GiveUp)
            if isinstance(action, GiveUp):
                return
    server.on_closed(0)


@given(st.binary(max_size=60))
def test_a_foreign_piece_ends_the_step_at_worst(piece: bytes) -> None:
    """Other nodes are not believed either."""
    server = make_server()
    for rank in (0, 1):
        server.on_bytes(rank, _INIT_1 + b"cmd=barrier_in\n")

    for action in server.on_release((piece,)):
        assert isinstance(action, Reply | GiveUp)
