/** Many calls at once over a few HTTP/2 connections: gRPC to a server, or requests to a proxy. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingHttpHeaders } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
} from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';

export interface BurstResult {
  readonly passed: number;
  /** Denied by a limit or a rule. */
  readonly refused: number;
  /** All other results: `grpc 14`, `HTTP 503`. */
  readonly failed: Readonly<Record<string, number>>;
}

interface Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}
interface Came {
  readonly status: number;
  readonly grpcStatus: string;
  readonly body: Buffer;
}
/** `passed`, `refused`, or the failure. */
type Word = string;

/** Streams that a server allows on one connection. */
const STREAMS = 1000;

async function burst(port: number, calls: number, sent: () => Sent, read: (came: Came) => Word): Promise<BurstResult> {
  const sessions = await Promise.all(
    Array.from({ length: Math.ceil(calls / STREAMS) }, async () => {
      const session = connect(`http://127.0.0.1:${port}`);
      await Promise.all([once(session, 'connect'), once(session, 'remoteSettings')]);
      return session;
    }),
  );
  try {
    const words = await Promise.all(
      Array.from({ length: calls }, async (_, at) =>
        ask(sessions[at % sessions.length] as ClientHttp2Session, sent()).then(
          read,
          (error: Error) => `error ${error.message}`,
        ),
      ),
    );
    const failed: Record<string, number> = {};
    for (const word of words) if (word !== 'passed' && word !== 'refused') failed[word] = (failed[word] ?? 0) + 1;
    return {
      passed: words.filter((word) => word === 'passed').length,
      refused: words.filter((word) => word === 'refused').length,
      failed,
    };
  } finally {
    for (const session of sessions) session.destroy();
  }
}

function ask(session: ClientHttp2Session, { headers, body }: Sent): Promise<Came> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers);
    const chunks: Buffer[] = [];
    let [status, grpcStatus] = [0, ''];
    const note = (fields: IncomingHttpHeaders): void => {
      grpcStatus = fields['grpc-status']?.toString() ?? grpcStatus;
    };
    stream.on('response', (fields) => {
      status = Number(fields[':status']);
      note(fields);
    });
    stream.on('trailers', note);
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => resolve({ status, grpcStatus, body: Buffer.concat(chunks) }));
    stream.end(body);
  });
}

const grpc = (path: string, message: Uint8Array, timeoutMs: number | undefined): Sent => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return {
    headers: {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(timeoutMs === undefined ? {} : { 'grpc-timeout': `${timeoutMs}m` }),
    },
    body: Buffer.concat([prefix, message]),
  };
};
const answered = ({ grpcStatus, body }: Came, read: (message: Uint8Array) => Word): Word =>
  grpcStatus === '0' ? read(body.subarray(5)) : `grpc ${grpcStatus}`;

export interface GrpcBurst {
  readonly calls: number;
  /** Sent as grpc-timeout; absent: not sent. */
  readonly timeoutMs?: number;
}

/** All by one user, each with its own request id. */
export function burstOfChecks(port: number, user: string, { calls, timeoutMs }: GrpcBurst): Promise<BurstResult> {
  const message = (): Uint8Array =>
    toBinary(
      CheckRequestSchema,
      create(CheckRequestSchema, {
        attributes: {
          request: {
            http: { method: 'GET', path: '/a', host: 'h', headers: { 'x-user': user, 'x-request-id': randomUUID() } },
          },
        },
      }),
    );
  return burst(
    port,
    calls,
    () => grpc('/envoy.service.auth.v3.Authorization/Check', message(), timeoutMs),
    (came) =>
      answered(came, (bytes) => {
        const { status, httpResponse } = fromBinary(CheckResponseSchema, bytes);
        const code = Number(httpResponse.case === 'deniedResponse' ? httpResponse.value.status?.code : 200);
        return (status?.code ?? 0) === 0 ? 'passed' : code === 429 ? 'refused' : `denied ${code}`;
      }),
  );
}

export function burstOfLimits(
  port: number,
  entries: Readonly<Record<string, string>>,
  { calls, timeoutMs }: GrpcBurst,
): Promise<BurstResult> {
  const message = toBinary(
    RateLimitRequestSchema,
    create(RateLimitRequestSchema, {
      domain: 'edge',
      descriptors: [{ entries: Object.entries(entries).map(([key, value]) => ({ key, value })) }],
    }),
  );
  return burst(
    port,
    calls,
    () => grpc('/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', message, timeoutMs),
    (came) =>
      answered(came, (bytes) => {
        const { overallCode } = fromBinary(RateLimitResponseSchema, bytes);
        return overallCode === RateLimitResponse_Code.OK
          ? 'passed'
          : overallCode === RateLimitResponse_Code.OVER_LIMIT
            ? 'refused'
            : `code ${overallCode}`;
      }),
  );
}

/** To a proxy with cleartext HTTP/2. */
export function burstOfRequests(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  calls: number,
): Promise<BurstResult> {
  return burst(
    port,
    calls,
    () => ({ headers: { ':method': 'GET', ':path': path, ':authority': 'h', ...headers } }),
    ({ status }) => (status === 200 ? 'passed' : status === 429 ? 'refused' : `HTTP ${status}`),
  );
}
