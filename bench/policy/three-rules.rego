# The rules of three-rules.yaml and a check of a token, as OPA's plugin for Envoy takes them.
package envoy.authz

import input.attributes.request.http

default result := {"allowed": false, "http_status": 401}

result := {"allowed": false, "http_status": 405} if {
	http.method == "TRACE"
} else := {"allowed": false, "http_status": 400} if {
	tricks
} else := {"allowed": true, "headers": headers} if {
	[valid, _, _] := io.jwt.decode_verify(
		trim_prefix(http.headers.authorization, "Bearer "),
		{"cert": KEYS, "iss": ISSUER, "aud": AUDIENCE},
	)
	valid
}

tricks if contains(http.path, "..")

tricks if http.host == "old.example"

default headers := {}

headers := {"x-policy": "three"} if {
	http.headers["x-user"] != ""
	http.scheme == "https"
}
