"""Why TLS did not come about, in one plain sentence, whichever side found it out."""

from __future__ import annotations

import ssl

from replicad.env.reasons import reason_of

_BY_VERIFY_CODE = {
    9: "the certificate is not valid yet; is the clock right?",
    10: "the certificate has expired",
    18: "the certificate is self-signed, and ca_file does not have it",
    19: "the CA of the certificate is not in ca_file",
    20: "the CA of the certificate is not in ca_file",
    21: "the CA of the certificate is not in ca_file",
    26: "the certificate may not be used for this side of a connection (extended key usage)",
    62: "the certificate is for another host",
}
"""OpenSSL's X509_V_ERR_ numbers (x509_vfy.h)."""

_BY_REASON = {
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "HTTP_REQUEST": "the other side does not speak TLS",
    "RECORD_LAYER_FAILURE": "the other side does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "the other side does not speak TLS",
    "HTTPS_PROXY_REQUEST": "the other side does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the other side speaks an older TLS than is accepted",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other side wants another version of TLS",
    "NO_SHARED_CIPHER": "no cipher in common",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the other side showed no certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the other side wants a certificate: set cert_file and key_file",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not know the CA of our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, says the other side",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the other side refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the other side refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate was revoked, says the other side",
    "TLSV1_ALERT_UNKNOWN_PSK_IDENTITY": "the other side refuses our certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "the other side refuses our certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "the other side refuses our certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the other side ends the handshake",
    "UNEXPECTED_EOF_WHILE_READING": "the other side ended the connection during the handshake",
}


def explain(error: BaseException) -> str:
    """One sentence; the error's own words where there is no better one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_VERIFY_CODE.get(error.verify_code, f"the certificate is refused: {error.verify_message}")
    if isinstance(error, ssl.SSLError) and error.reason:
        return _BY_REASON.get(error.reason) or error.reason.lower().replace("_", " ")
    return str(error) or reason_of(error)
