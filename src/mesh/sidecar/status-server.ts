/**
 * The agent's pages for the kubelet: the readiness of Envoy, and probes of the application.
 * **In**: probes by path, how to ask whether Envoy is ready. **Out**: a handler of requests. **Fails**: never; a probe that fails is a 500.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { causeMessageOf } from '../../text/message-of.ts';
import type { AppProber, AppProbers } from './app-probers.ts';
import { grpcProbe } from './grpc-probe.ts';
import { httpProbe, type ProbeAnswer } from './http-probe.ts';
import { connected, type ProbedPod } from './probe-connection.ts';
import { Turns } from './turns.ts';

export interface StatusPages {
  readonly probers: AppProbers;
  readonly pod: ProbedPod;
  /** `undefined`: Envoy is ready; else why it is not. */
  readonly whyNotReady: (signal: AbortSignal) => Promise<string | undefined>;
  /** The application gave no HTTP answer, or a TCP or gRPC probe failed. */
  readonly onFailure: (path: string, why: string) => void;
}

/** Concurrent probes per path: a burst opens few connections, and a hung container does not delay others. */
const PROBES_AT_A_TIME = 16;
const READY_PATH = '/healthz/ready';
const READY_MS = 1000;

type Probe = (request: IncomingMessage, signal: AbortSignal) => Promise<ProbeAnswer>;

interface Page {
  readonly probe: Probe;
  readonly timeoutMs: number;
  readonly turns: Turns;
}

export function statusHandler(options: StatusPages): (request: IncomingMessage, response: ServerResponse) => void {
  const { probers, onFailure } = options;
  const pages = new Map<string, Page>();
  const add = (path: string, timeoutMs: number, probe: Probe): void =>
    void pages.set(path, { probe, timeoutMs, turns: new Turns(PROBES_AT_A_TIME) });
  add(READY_PATH, READY_MS, readinessOf(options));
  for (const [path, prober] of probers) add(path, prober.timeoutMs, probeOf(prober, options));
  return (request, response) => {
    const [path = ''] = (request.url ?? '').split('?', 1);
    const page = pages.get(path);
    if (page === undefined) return reply(response, { status: 404, body: `no probe at ${path}` });
    if (request.method !== 'GET') return reply(response, { status: 405, body: 'expected GET' });
    void answer(page, request, response).catch((error: unknown) => {
      const why = causeMessageOf(error);
      if (path !== READY_PATH) onFailure(path, why);
      reply(response, { status: 500, body: why });
    });
  };
}

async function answer(
  { probe, timeoutMs, turns }: Page,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  response.once('close', () => over.abort(new Error('no answer before the kubelet closed its connection')));
  try {
    reply(response, await turns.run(() => probe(request, over.signal), over.signal));
  } catch (error) {
    over.signal.throwIfAborted(); // its reason says more
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function probeOf({ action }: AppProber, { pod }: StatusPages): Probe {
  return async ({ headers, rawHeaders }, signal) => {
    if (action.kind === 'http') return httpProbe(action, { host: headers.host, rawHeaders }, pod, signal);
    if (action.kind === 'grpc') await grpcProbe(action, headers['user-agent'], pod, signal);
    else (await connected(pod, action.port, signal))[Symbol.dispose]();
    return { status: 200, body: '' };
  };
}

const readinessOf =
  ({ whyNotReady }: StatusPages): Probe =>
  async (_, signal) => {
    const why = await whyNotReady(signal);
    return why === undefined ? { status: 200, body: '' } : { status: 503, body: `Envoy is not ready: ${why}` };
  };

function reply(response: ServerResponse, { status, body }: ProbeAnswer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
  response.end(body);
}
