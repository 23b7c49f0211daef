"""Which links may be fetched when somebody else chose them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncpoll._errors import Rejected
from asyncpoll.http._urls import Link, Origin, check_link, follow

START = check_link("https://store.example/a/b?sign=1")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://store.example/a.zip", "https://store.example"),
        ("HTTPS://Store.Example:443/a.zip", "https://store.example"),
        ("https://store.example./a?x=http://10.0.0.1/@b#c", "https://store.example."),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]"),
        ("https://store.example", "https://store.example"),
    ],
)
def test_plain_https_is_fetched(url: str, origin: str) -> None:
    """Any https link on port 443 is, and its origin is known in one spelling."""
    link = check_link(url)
    assert (link.url, str(link.origin), link.trusted) == (url, origin, False)


def test_a_signed_path_is_not_respelled() -> None:
    """Only what is not ASCII gets percent-encoded: a signature covers the rest as it is spelled."""
    url = "https://store.example/%e6%a8%a1/a+b%2Fc;d=~'(x)?sig=a%2Bb/c==&t=模"
    assert check_link(url).url == url.replace("模", "%E6%A8%A1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.zip",
        "/a.zip",
        "//store.example/a.zip",
        "http://store.example/a.zip",
        "https://store.example:8443/a.zip",
        "https://store.example:80/a.zip",
        "https://store.example:0/a.zip",
        "http://store.example:443/a.zip",
        "ftp://store.example/a.zip",
        "file:///etc/passwd",
        "data:text/plain,hello",
        "javascript:alert(1)",
        "unix:///run/docker.sock",
        "https://",
        "https:///a.zip",
        "https://user:pass@store.example/a.zip",
        "https://user@store.example/a.zip",
        "https://@store.example/a.zip",
        "https://store.example\\@evil.example/a.zip",
        "https://store.example/a b",
        "https://store.example/a\r\nHost: evil.example",
        "\thttps://store.example/a",
        "https://store.example/\udc80",
        "https://ⓛocalhost/a.zip",
        "https://[::1/a.zip",
        "https://store.example:99999/a.zip",
        "https://store.example:x/a.zip",
    ],
)
def test_other_links_are_refused(url: str) -> None:
    """Other schemes and ports, user names, and what parsers of URLs disagree about are refused."""
    with pytest.raises(Rejected, match="the link is refused") as caught:
        check_link(url)
    assert (caught.value.kind, caught.value.passing) == ("link", False)


def test_a_refusal_does_not_repeat_the_link() -> None:
    """The error names the origin at most: a link may hold a signature or a password."""
    for url in ("http://store.example/p?sig=canary", "https://canary:canary@a.example/", "https://canary canary/"):
        with pytest.raises(Rejected) as caught:
            check_link(url)
        assert "canary" not in f"{caught.value!s} {caught.value!r} {caught.value.origin}"
    assert "sign" not in repr(START)


@pytest.mark.parametrize("trusted", ["http://127.0.0.1:8080", "HTTP://127.0.0.1:8080/some/path", "http://[::1]:8080"])
def test_a_trusted_origin(trusted: str) -> None:
    """A trusted origin is fetched from although it is http, on another port; its neighbours are not."""
    assert check_link(f"{trusted}/a.zip", [trusted]).trusted
    for neighbour in ("http://127.0.0.1:8081/a.zip", "https://127.0.0.1:8080/a.zip", "http://localhost:8080/a"):
        with pytest.raises(Rejected):
            check_link(neighbour, [trusted])


def test_a_trusted_origin_must_be_one() -> None:
    """What is trusted is the user's own word, so nonsense there is a bad argument."""
    with pytest.raises(ValueError, match="https:// and the name of a host"):
        check_link("https://store.example/", ["127.0.0.1:8080"])


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("https://other.example/c", "https://other.example/c"),
        ("//other.example/c", "https://other.example/c"),
        ("/c", "https://store.example/c"),
        ("c", "https://store.example/a/c"),
        ("?sign=2", "https://store.example/a/b?sign=2"),
    ],
)
def test_redirects(location: str, url: str) -> None:
    """A location may be absolute or relative."""
    assert follow(START, [location]).url == url


@pytest.mark.parametrize(
    "locations",
    [
        [],
        ["/c", "/d"],
        ["http://store.example/c"],
        ["https://user:pass@store.example/c"],
        ["https://store.example:8443/c"],
        ["file:///etc/passwd"],
        ["https://[bad/"],
        ["/c\\d"],
    ],
)
def test_redirects_that_lead_astray(locations: list[str]) -> None:
    """Every hop is held to the same rules, and there must be exactly one place to go."""
    with pytest.raises(Rejected):
        follow(START, locations)


def test_no_way_back_to_plain_http() -> None:
    """From https no redirect leads to http, not even to a trusted origin; from http both do."""
    local = "http://127.0.0.1:8080"
    with pytest.raises(Rejected, match="from https to http"):
        follow(START, [f"{local}/a"], [local])
    assert follow(check_link(local, [local]), [f"{local}/a"], [local]).trusted
    assert follow(check_link(local, [local]), [START.url]) == START


@given(st.text())
def test_any_text_is_a_link_or_is_refused(text: str) -> None:
    """No text makes the check fail in any other way, and what passes is plain https in ASCII."""
    for url in (text, f"https://{text}", f"https://store.example/{text}"):
        try:
            link = check_link(url)
        except Rejected:
            continue
        assert isinstance(link, Link)
        assert link.url.isascii()
        assert (link.origin.scheme, link.origin.port) == ("https", 443)


def test_origins_are_spelled_short() -> None:
    """An origin leaves out the port that its scheme has anyway."""
    assert str(Origin.of("http://A.example:80/x")) == "http://a.example"
    assert str(Origin.of("http://a.example:443/x")) == "http://a.example:443"
