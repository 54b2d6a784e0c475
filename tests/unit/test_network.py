"""Proxy variables and certificates, as a JVM is told."""

import shutil
import subprocess

import pytest

from ventes.errors import InstallError
from ventes.install import network


def test_nothing_set_nothing_told():
    assert network.jvm_flags({}) == []
    assert network.jvm_environment({}) == {}


def test_proxy_and_exceptions():
    env = {"HTTPS_PROXY": "http://proxy.test:3128", "no_proxy": "localhost, .inner.test"}
    assert network.jvm_flags(env) == [
        "-Dhttps.proxyHost=proxy.test",
        "-Dhttps.proxyPort=3128",
        "-Dhttp.nonProxyHosts=localhost|*.localhost|inner.test|*.inner.test",
    ]


def test_a_password_stays_out_of_the_command_line():
    env = {"https_proxy": "http://me:s%40cret@proxy.test:3128"}
    assert not any("cret" in flag for flag in network.jvm_flags(env))
    assert "s@cret" in network.jvm_environment(env)["JDK_JAVA_OPTIONS"]


def test_an_address_that_is_none_is_refused_without_its_password():
    with pytest.raises(InstallError) as caught:
        network.jvm_flags({"HTTPS_PROXY": "http://me:secret@proxy.test:notaport"})
    assert "secret" not in str(caught.value)
    assert "notaport" in str(caught.value)


@pytest.mark.skipif(shutil.which("keytool") is None, reason="no keytool to read the store with")
def test_the_trust_store_is_what_java_reads(tmp_path):
    store = tmp_path / "cacerts.jks"
    if not network.trust_store(store):
        pytest.skip("this machine trusts no certificate")
    done = subprocess.run(
        ["keytool", "-list", "-keystore", store, "-storepass", "changeit"], capture_output=True, text=True, check=True
    )
    listed = done.stdout.count("trustedCertEntry")
    assert listed == int.from_bytes(store.read_bytes()[8:12], "big") > 0
