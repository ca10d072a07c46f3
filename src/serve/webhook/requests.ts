/**
 * The path /inject of the webhook.
 * **In**: requests of an API server. **Out**: reviews answered. **Fails**: with an HTTP status and a line of text for what is no review.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../../adapters/contract.ts';
import { answerReview, type Injector, type Reviewed, ReviewError } from '../../inject/admission/review.ts';
import { messageOf } from '../../text/message-of.ts';
import { Throttle } from '../../time/throttle.ts';
import { requestBody } from '../../transport/index.ts';
import type { WebhookMeters } from './meters.ts';

const INJECT_PATH = '/inject';
/** What an API server accepts itself. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;
/** Of all bodies that are being received; above it requests are refused, so that slow clients cannot fill memory. */
const MAX_HELD_BYTES = 128 * 1024 * 1024;

/** Answered with this HTTP status. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface RequestOptions {
  /** In force. */
  readonly injector: () => Injector;
  readonly meters: WebhookMeters;
  /** The server takes no further requests; connections end after their answer. */
  readonly isDraining: () => boolean;
  readonly log: Log;
}

export type WebhookHandler = (request: IncomingMessage, response: ServerResponse) => void;

export function injectHandler({ injector, meters, isDraining, log }: RequestOptions): WebhookHandler {
  const failures = new Throttle();
  const refusals = new Throttle();
  let heldBytes = 0;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let held = 0;
    const hold = (bytes: number): void => {
      held += bytes;
      heldBytes += bytes;
      if (heldBytes > MAX_HELD_BYTES) throw new Refusal(503, 'too many reviews at once; send it again');
    };
    try {
      checkHead(request);
      const body = await bodyOf(request, hold);
      if (response.destroyed) return; // its caller has given up
      const beganAtMs = performance.now();
      const reviewed = answerReview(body, injector());
      meters.take(reviewed.outcome, performance.now() - beganAtMs);
      note(reviewed);
      reply(response, 200, 'application/json', reviewed.body);
    } catch (error) {
      if (request.errored !== null || response.destroyed) return;
      refuse(response, error);
    } finally {
      heldBytes -= held;
    }
  }

  function note({ outcome, pod }: Reviewed): void {
    if (outcome.kind === 'injected') log.debug('injected a pod', { pod });
    if (outcome.kind === 'skipped') log.debug('left a pod as it is', { pod, reason: outcome.reason });
    if (outcome.kind !== 'failed') return;
    const events = failures.admit();
    if (events > 0) log.error('refused a pod, which cannot be injected', { pod, why: outcome.why, events });
  }

  function refuse(response: ServerResponse, error: unknown): void {
    const status = error instanceof Refusal ? error.status : error instanceof ReviewError ? 400 : 500;
    meters.refused(status);
    const events = refusals.admit();
    if (events > 0)
      log.warn('refused a request to the webhook', {
        status,
        why: messageOf(error),
        events,
        ...(status === 500 ? { error } : {}),
      });
    const why = status === 500 ? 'internal error; see the log of the webhook' : messageOf(error);
    reply(response, status, 'text/plain; charset=utf-8', `${why}\n`);
  }

  function reply(response: ServerResponse, status: number, type: string, body: string): void {
    // Unread octets of a refused body would be taken for the next request.
    if (isDraining() || !response.req.complete) response.shouldKeepAlive = false;
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(body);
  }

  return (request, response) => void answer(request, response);
}

function checkHead({ url = '', method, headers }: IncomingMessage): void {
  if (url.split('?', 1)[0] !== INJECT_PATH) throw new Refusal(404, `this port has the path ${INJECT_PATH}`);
  if (method !== 'POST') throw new Refusal(405, 'send reviews by POST');
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') throw new Refusal(415, 'content-type must be application/json');
  if (Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
}

const tooLarge = (): Refusal => new Refusal(413, `a review may have ${MAX_BODY_BYTES} bytes`);

/** `hold` counts memory, and throws if there is too much. */
async function bodyOf(request: IncomingMessage, hold: (bytes: number) => void): Promise<string> {
  const body = await requestBody(request, { maxBytes: MAX_BODY_BYTES, tooLarge, hold });
  if (body.length === 0) throw new Refusal(400, 'the request has no body');
  return body.toString('utf8');
}
