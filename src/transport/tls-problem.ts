/**
 * What is wrong with a TLS connection to a server, in words of the setting that mends it: `ca`, `cert`, `key`, `serverName`.
 * **In**: the text of an error of Node or OpenSSL. **Out**: one line about the server, or `undefined`: it is about something else.
 */
const PROBLEMS: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
  [
    /unable to (?:verify the first certificate|get (?:local )?issuer certificate)|self[- ]signed certificate|certificate signature failure/,
    () => 'its certificate is signed by no authority of tls.ca, or without it, of Node',
  ],
  [/certificate has expired/, () => 'its certificate has expired'],
  [/certificate is not yet valid/, () => 'its certificate is not valid yet; compare the clocks'],
  [
    /does not match certificate's altnames: (.*)/s,
    ([, names = '']) =>
      `its certificate is for another name; correct the address, or set tls.serverName (${names.trim().replace(/\.$/, '')})`,
  ],
  [
    /wrong version number|packet length too long|http request/,
    () => 'it does not speak TLS there; correct the port, or connect without TLS',
  ],
  [/key values mismatch/, () => 'tls.key is not the key of tls.cert'],
  [/certificate required/, () => 'it asks for a client certificate; set tls.cert and tls.key'],
  [
    /alert (unknown ca|decrypt error|bad certificate|unsupported certificate|certificate (?:revoked|expired|unknown))/,
    ([, alert = '']) => `it refuses the client certificate of tls.cert: ${alert}`,
  ],
  [/alert protocol version|unsupported protocol/, () => 'it speaks no version of TLS that we do (1.2 or 1.3)'],
  [/alert unrecognized name/, () => 'it knows no server of this name; set tls.serverName'],
  [/error:[0-9A-F]+:([^:]*):[^:]*:([^:\n]+)/, ([, part = '', reason = '']) => `TLS failed: ${reason} (${part})`],
];

export function tlsProblem(text: string): string | undefined {
  for (const [pattern, say] of PROBLEMS) {
    const match = pattern.exec(text);
    if (match !== null) return say(match);
  }
  return undefined;
}
