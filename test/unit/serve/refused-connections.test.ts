/** Log lines and metrics of peers that do not speak the protocol of the gRPC port. */
import { expect, test } from 'vitest';
import { RefusedConnections } from '../../../src/serve/refused-connections.ts';

test('logs one line a minute per kind, with the number since the last; all are counted', () => {
  const lines: unknown[] = [];
  let nowMs = 0;
  const strangers = new RefusedConnections(
    { warn: (message, fields) => void lines.push([message.split('; ')[0], fields]) },
    '--tls-cert and --tls-key',
    () => nowMs,
  );
  strangers.take({ kind: 'tls', peer: '10.0.0.1:1' });
  strangers.take({ kind: 'tls', peer: '10.0.0.1:2' });
  strangers.take({ kind: 'handshake', peer: undefined, why: 'no certificate' });
  nowMs = 59_999;
  strangers.take({ kind: 'tls', peer: '10.0.0.1:3' });
  nowMs = 60_000;
  strangers.take({ kind: 'tls', peer: '10.0.0.1:4' });
  expect(lines).toEqual([
    ['a peer speaks TLS, but this port is cleartext', { peer: '10.0.0.1:1', connections: 1 }],
    ['a TLS handshake failed', { peer: 'unknown', why: 'no certificate', connections: 1 }],
    ['a peer speaks TLS, but this port is cleartext', { peer: '10.0.0.1:4', connections: 3 }],
  ]);
  expect(strangers.total).toBe(5);
});

test('each kind is a row of the metric from the start, so that its rate is known', () => {
  const { family } = new RefusedConnections({ warn: () => {} }, 'GRPC_SERVER_USE_TLS');
  expect(family.read()).toEqual(
    ['tls', 'http1', 'unknown', 'cleartext', 'handshake'].map((kind) => ({ labels: { kind }, value: 0 })),
  );
});

test('the line names the flag or setting that turns TLS on', () => {
  const lines: string[] = [];
  for (const hint of ['--tls-cert and --tls-key', 'GRPC_SERVER_USE_TLS'] as const)
    new RefusedConnections({ warn: (message) => void lines.push(message) }, hint).take({ kind: 'tls', peer: 'a:1' });
  expect(lines.map((line) => line.split('; ')[1]?.split(',')[0])).toEqual([
    'set --tls-cert and --tls-key',
    'set GRPC_SERVER_USE_TLS',
  ]);
});

test('between two ports the line names the other one, for TLS and for cleartext', () => {
  const lines: string[] = [];
  const log = { warn: (message: string) => void lines.push(message) };
  new RefusedConnections(log, '--secure').take({ kind: 'tls', peer: 'a:1' });
  new RefusedConnections(log, '--xds').take({ kind: 'cleartext', peer: 'a:1' });
  expect(lines).toEqual([
    'a peer speaks TLS, but this port is cleartext; use the port of --secure, or remove the TLS transport_socket from the cluster in Envoy',
    "a peer speaks cleartext, but this port requires TLS; add a TLS transport_socket to Envoy's cluster, or use the port of --xds",
  ]);
});
