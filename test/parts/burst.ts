/** Many calls at once over a few HTTP/2 connections: gRPC to a server, or requests to a proxy; and how many passed. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
} from '../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { sendAtOnce, type Sending } from './grpc-burst.ts';

export interface BurstResult {
  readonly passed: number;
  /** Denied by a limit or a rule. */
  readonly refused: number;
  /** All other results: `grpc 14`, `HTTP 503`. */
  readonly failed: Readonly<Record<string, number>>;
}

/** `passed`, `refused`, or the failure. */
type Word = string;

/** Streams that a server allows on one connection. */
const STREAMS = 1000;

export interface GrpcBurst extends Sending {
  readonly calls: number;
}

/** Answers are read once where they are equal, octet for octet. */
async function grpcBurst(
  port: number,
  path: string,
  messages: readonly Uint8Array[],
  sending: Sending,
  read: (message: Uint8Array) => Word,
): Promise<BurstResult> {
  const known = new Map<string, Word>();
  const wordOf = (message: Buffer): Word => {
    const text = message.toString('latin1');
    const word = known.get(text) ?? read(message);
    known.set(text, word);
    return word;
  };
  const answers = await sendAtOnce(port, path, messages, sending);
  return counted(answers.map(({ status, message }) => (status === '0' ? wordOf(message) : `grpc ${status}`)));
}

/** All by one user, each with its own request id. */
export function burstOfChecks(port: number, user: string, { calls, ...sending }: GrpcBurst): Promise<BurstResult> {
  const placeholder = randomUUID();
  const message = Buffer.from(
    toBinary(
      CheckRequestSchema,
      create(CheckRequestSchema, {
        attributes: {
          request: {
            http: { method: 'GET', path: '/a', host: 'h', headers: { 'x-user': user, 'x-request-id': placeholder } },
          },
        },
      }),
    ),
  );
  const idAt = message.indexOf(placeholder);
  const messages = Array.from({ length: calls }, () => {
    const own = Buffer.from(message);
    own.write(randomUUID(), idAt);
    return own;
  });
  return grpcBurst(port, '/envoy.service.auth.v3.Authorization/Check', messages, sending, (bytes) => {
    const { status, httpResponse } = fromBinary(CheckResponseSchema, bytes);
    const code = Number(httpResponse.case === 'deniedResponse' ? httpResponse.value.status?.code : 200);
    return (status?.code ?? 0) === 0 ? 'passed' : code === 429 ? 'refused' : `denied ${code}`;
  });
}

export function burstOfLimits(
  port: number,
  entries: Readonly<Record<string, string>>,
  { calls, ...sending }: GrpcBurst,
): Promise<BurstResult> {
  const message = toBinary(
    RateLimitRequestSchema,
    create(RateLimitRequestSchema, {
      domain: 'edge',
      descriptors: [{ entries: Object.entries(entries).map(([key, value]) => ({ key, value })) }],
    }),
  );
  const messages = Array.from({ length: calls }, () => message);
  return grpcBurst(port, '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit', messages, sending, (bytes) => {
    const { overallCode } = fromBinary(RateLimitResponseSchema, bytes);
    if (overallCode === RateLimitResponse_Code.OK) return 'passed';
    return overallCode === RateLimitResponse_Code.OVER_LIMIT ? 'refused' : `code ${overallCode}`;
  });
}

function counted(words: readonly Word[]): BurstResult {
  const failed: Record<string, number> = {};
  for (const word of words) if (word !== 'passed' && word !== 'refused') failed[word] = (failed[word] ?? 0) + 1;
  return {
    passed: words.filter((word) => word === 'passed').length,
    refused: words.filter((word) => word === 'refused').length,
    failed,
  };
}

/** To a proxy with cleartext HTTP/2. */
export async function burstOfRequests(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
  calls: number,
): Promise<BurstResult> {
  const sessions = await Promise.all(
    Array.from({ length: Math.ceil(calls / STREAMS) }, async () => {
      const session = connect(`http://127.0.0.1:${port}`);
      await Promise.all([once(session, 'connect'), once(session, 'remoteSettings')]);
      return session;
    }),
  );
  const sent = { ':method': 'GET', ':path': path, ':authority': 'h', ...headers };
  try {
    return counted(
      await Promise.all(
        Array.from({ length: calls }, (_, at) =>
          statusOf(sessions[at % sessions.length] as ClientHttp2Session, sent).then(
            (status) => (status === 200 ? 'passed' : status === 429 ? 'refused' : `HTTP ${status}`),
            (error: Error) => `error ${error.message}`,
          ),
        ),
      ),
    );
  } finally {
    for (const session of sessions) session.destroy();
  }
}

function statusOf(session: ClientHttp2Session, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers);
    let status = 0;
    stream.on('response', (fields) => {
      status = Number(fields[':status']);
    });
    stream.on('error', reject);
    stream.on('close', () => resolve(status));
    stream.resume();
    stream.end();
  });
}
