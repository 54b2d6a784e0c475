"""Which certificates `requests` and Java are told to trust."""

import shutil
import subprocess

import pytest

from ventes.install import certificates


def test_requests_trusts_the_file_that_python_trusts(tmp_path, monkeypatch):
    company = tmp_path / "company.pem"
    company.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(company))
    env: dict[str, str] = {}
    certificates.trust_like_python(env)
    assert env == {"REQUESTS_CA_BUNDLE": str(company)}


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_what_was_set_for_requests_stays(name):
    env = {name: "/mine.pem"}
    certificates.trust_like_python(env)
    assert env == {name: "/mine.pem"}


@pytest.mark.skipif(shutil.which("keytool") is None, reason="no keytool to read the store with")
def test_the_trust_store_is_what_java_reads(tmp_path):
    store = tmp_path / "cacerts.jks"
    if not certificates.trust_store(store):
        pytest.skip("this machine trusts no certificate")
    done = subprocess.run(
        ["keytool", "-list", "-keystore", store, "-storepass", "changeit"], capture_output=True, text=True, check=True
    )
    listed = done.stdout.count("trustedCertEntry")
    assert listed == int.from_bytes(store.read_bytes()[8:12], "big") > 0
