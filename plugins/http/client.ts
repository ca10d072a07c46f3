/**
 * A client of a service that is asked for each call.
 * **In**: requests. **Out**: answers of any status. **Fails**: with `Unavailable` if no whole answer came, with `Rejected` for a body
 * above the bound.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, Unavailable } from 'sluice/plugin';
import type { HttpAnswer } from './answer.ts';
import type { ServerConfig } from './config.ts';
import { type Bounds, ExchangeError } from './exchange.ts';
import { openPool } from './pool.ts';
import { Readiness } from './readiness.ts';
import type { HttpRequest } from './request.ts';

export interface HttpClient {
  ask(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer>;
  close(): Promise<void>;
}

const FIRST_PROBE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export async function openClient(
  config: ServerConfig & { readonly url: string; readonly connections: number },
  host: Host,
): Promise<HttpClient> {
  const readiness = new Readiness(host);
  const pool = await openPool(config, readiness.hostFor('certificates'));
  let isDown = false;
  let isProbing = false;

  async function ask(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer> {
    try {
      const answer = await attempt(request, bounds);
      if (isDown) up();
      return answer;
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error;
      const why = `${pool.shown}: ${error.message}`;
      down(why);
      throw new Unavailable(why, 0, { cause: error.cause });
    }
  }

  /** A server may close a connection while a request is on its way; one that only reads is sent again, once. */
  async function attempt(request: HttpRequest, bounds: Bounds): Promise<HttpAnswer> {
    try {
      return await pool.send(request, bounds);
    } catch (error) {
      const mayAskAgain = error instanceof ExchangeError && error.isLost && request.method === 'GET';
      if (!mayAskAgain) throw error;
      return pool.send(request, bounds);
    }
  }

  function up(): void {
    isDown = false;
    readiness.set('connection', undefined);
  }

  function down(why: string): void {
    readiness.set('connection', why);
    isDown = true;
    if (isProbing) return;
    isProbing = true;
    host.background(`connecting to ${pool.shown}`, probe);
  }

  /** Without calls nothing else would find that the service is back. */
  async function probe(signal: AbortSignal): Promise<void> {
    for (let pauseMs = FIRST_PROBE_MS; isDown; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      if (isDown && (await pool.connects())) up();
    }
    isProbing = false;
  }

  return { ask, close: () => pool.close() };
}
