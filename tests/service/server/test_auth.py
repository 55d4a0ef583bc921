import os

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from service.api.options import to_image
from service.errors import SettingsError
from service.pb import recognizer_pb2 as pb
from service.pb.recognizer_pb2_grpc import RecognizerServiceStub
from service.tokens import SHORTEST, Tokens, read_tokens
from tests.conftest import STRIPS, until
from tests.support.observed import Observed

NAME = "postcode-ruled.png"
REQUEST = pb.RecognizeRequest(image=to_image((STRIPS / NAME).read_bytes()))
TOKEN, OTHER, LATER = "first-token-of-many", "second-token-of-many", "third-token-of-many"
READABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=SHORTEST)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A guarded server whose health is open."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens"
    tokens.write_text(f"# those of today\n{TOKEN}\n\n  {OTHER}  \n  # no token at all\n")
    server = Observed(folder / "log", DIGITSTRIP_TOKENS_FILE=str(tokens))
    server.tokens = tokens
    yield server
    status, _ = server.stop()
    assert status == 0


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.address) as channel:
        yield channel


def bearing(token, scheme="Bearer"):
    return (("authorization", f"{scheme} {token}"),)


def code(call):
    """The code of a call that fails, after a look at what it tells."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    if raised.value.code() is grpc.StatusCode.UNAUTHENTICATED:
        info = error_details_pb2.ErrorInfo()
        assert rpc_status.from_call(raised.value).details[0].Unpack(info)
        assert (info.reason, info.domain) == ("UNAUTHENTICATED", "digitstrip")
    return raised.value.code()


@pytest.mark.parametrize("token", [TOKEN, OTHER])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_every_token_that_is_known_opens(channel, truths, token, scheme):
    stub = RecognizerServiceStub(channel)
    shown = bearing(token, scheme)
    assert stub.Recognize(REQUEST, metadata=shown).text == truths[NAME]
    asked = iter([pb.RecognizeStreamRequest(id="1", request=REQUEST)])
    (answer,) = stub.RecognizeStream(asked, metadata=shown)
    assert answer.response.text == truths[NAME]
    assert stub.GetModel(pb.GetModelRequest(), metadata=shown).labels


@pytest.mark.parametrize(
    "shown",
    [
        (),
        bearing("a-token-that-nobody-knows"),
        bearing(TOKEN[:-1]),
        bearing(TOKEN + "x"),
        bearing(TOKEN, "Basic"),
        bearing(""),
        bearing("# those of today"),
        bearing("# no token at all"),
        (("authorization", TOKEN),),
        (("token", TOKEN),),
    ],
)
def test_without_a_token_that_is_known_nothing_is_answered(channel, shown):
    stub = RecognizerServiceStub(channel)
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    assert code(lambda: stub.Recognize(REQUEST, metadata=shown)) is unauthenticated
    assert code(lambda: stub.GetModel(pb.GetModelRequest(), metadata=shown)) is unauthenticated
    asked = [pb.RecognizeStreamRequest(id="1", request=REQUEST)]
    assert code(lambda: list(stub.RecognizeStream(iter(asked), metadata=shown))) is unauthenticated


def ask_reflection(channel, metadata=()):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    return list(stub.ServerReflectionInfo(iter([asked]), metadata=metadata))


def test_the_schema_is_told_to_those_who_are_known(channel):
    assert code(lambda: ask_reflection(channel)) is grpc.StatusCode.UNAUTHENTICATED
    assert ask_reflection(channel, bearing(TOKEN))


def check_health(channel, metadata=()):
    stub = health_pb2_grpc.HealthStub(channel)
    return stub.Check(health_pb2.HealthCheckRequest(), metadata=metadata).status


def test_health_is_open_unless_it_is_closed(server, channel, start_service):
    assert check_health(channel) == health_pb2.HealthCheckResponse.SERVING
    closed = start_service(
        DIGITSTRIP_TOKENS_FILE=str(server.tokens), DIGITSTRIP_HEALTH_OPEN="false"
    )
    with grpc.insecure_channel(closed.address) as other:
        assert code(lambda: check_health(other)) is grpc.StatusCode.UNAUTHENTICATED
        assert check_health(other, bearing(TOKEN)) == health_pb2.HealthCheckResponse.SERVING


def test_calls_that_are_turned_away_are_counted_by_the_methods_there_are(server, channel):
    before = server.figures("requests_total", method="GetModel", code="UNAUTHENTICATED")
    refused = server.figures("refused_total", reason="UNAUTHENTICATED")
    code(lambda: RecognizerServiceStub(channel).GetModel(pb.GetModelRequest()))
    for name in "abc":
        call = channel.unary_unary(f"/made.up/{name}")
        assert code(lambda call=call: call(b"")) is grpc.StatusCode.UNAUTHENTICATED
    figures = server.figures.all()
    methods = {
        dict(labels)["method"] for name, *labels in figures if name == "digitstrip_requests_total"
    }
    assert not methods & set("abc")
    assert server.figures("requests_total", method="unknown", code="UNAUTHENTICATED") == 3
    after = server.figures("requests_total", method="GetModel", code="UNAUTHENTICATED")
    assert after == before + 1
    assert server.figures("refused_total", reason="UNAUTHENTICATED") == refused + 4


def test_a_file_that_changes_changes_the_tokens_unless_it_is_bad(server, channel):
    stub = RecognizerServiceStub(channel)
    old = server.tokens.read_text()

    def opens(token):
        call = stub.GetModel.future(pb.GetModelRequest(), metadata=bearing(token))
        assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)
        return call.code() is grpc.StatusCode.OK

    try:
        server.tokens.write_text(LATER + "\n")
        until(lambda: opens(LATER))
        assert not opens(TOKEN)
        server.tokens.write_text("short\n")
        until(lambda: opens(LATER) and server.logged("reload failed; the old value stays"))
        assert opens(LATER)
        assert not opens("short")
    finally:
        server.tokens.write_text(old)
    until(lambda: opens(TOKEN))


def test_no_token_is_ever_logged(server, channel):
    shown = "a-secret-that-nobody-knows"
    code(lambda: RecognizerServiceStub(channel).Recognize(REQUEST, metadata=bearing(shown)))
    RecognizerServiceStub(channel).Recognize(REQUEST, metadata=bearing(TOKEN))
    until(lambda: server.logged("image"))
    said = server.log.read_text()
    assert not [secret for secret in (shown, TOKEN, OTHER, LATER) if secret in said]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "there are no tokens in"),
        (b"\n# none\n  # none either\n", "there are no tokens in"),
        (b"only-fifteen-ch\n", f"1 of the tokens in .* have fewer than {SHORTEST} characters"),
        (b"\xff\xfe no text at all", "cannot read the tokens in"),
        (None, "cannot read the tokens in"),
    ],
)
def test_a_bad_file_ends_the_start_with_a_sentence_that_tells_no_token(
    tmp_path, run, content, complaint
):
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=complaint):
        Tokens(file)
    if content == b"only-fifteen-ch\n":
        ended = run("serve", "--listen", "127.0.0.1:0", "--tokens-file", file)
        assert ended.returncode == 2
        assert b"BAD_SETTING" in ended.stderr
        assert b"only-fifteen" not in ended.stderr
        assert b"Traceback" not in ended.stderr


@given(st.lists(READABLE.filter(lambda each: each[0] != "#"), min_size=1, max_size=4), READABLE)
def test_a_file_holds_its_tokens_and_no_other(tmp_path_factory, tokens, other):
    file = tmp_path_factory.getbasetemp() / f"tokens-{os.getpid()}"
    file.write_text("\r\n".join(tokens))
    known = Tokens(file)
    assert all(known.allow(f"Bearer {token}") for token in tokens)
    assert known.allow(f"Bearer {other}") == (other in tokens)
    assert len(read_tokens(file)) == len(tokens)
