/**
 * **In**: a rate limit service, and the handler of /json. **Out**: both with the spans of the reference (src/service/ratelimit.go,
 * src/server/server_impl.go). **Fails**: as they do.
 */
import { type Context, ROOT_CONTEXT, trace, type Tracer } from '@opentelemetry/api';
import type { RateLimitReply, RateLimitService, RequestHeaders } from '../ratelimit/call.ts';
import { type ActiveContext, callerOf } from './active-context.ts';
import { replyText, requestText } from './message-text.ts';

export type AnswerJson<Answer> = (service: RateLimitService, body: string, headers: RequestHeaders) => Promise<Answer>;

/** `atMs`: by `performance.now()`. */
interface Executed {
  readonly reply: RateLimitReply;
  readonly atMs: number;
  readonly context: Context;
}

export function tracedService(service: RateLimitService, tracer: Tracer, active: ActiveContext): RateLimitService {
  return executing(
    service,
    tracer,
    active,
    () => active.get() ?? ROOT_CONTEXT,
    () => {},
  );
}

function executing(
  service: RateLimitService,
  tracer: Tracer,
  active: ActiveContext,
  parentOf: () => Context,
  onExecuted: (executed: Executed) => void,
): RateLimitService {
  return {
    shouldRateLimit(call) {
      const parent = parentOf();
      const span = tracer.startSpan('ShouldRateLimit Execution', {}, parent);
      if (span.isRecording()) span.setAttributes({ domain: call.domain, 'request string': requestText(call) });
      return active.within(span, parent, () => service.shouldRateLimit(call), {
        succeeded: (reply) => onExecuted({ reply, atMs: performance.now(), context: trace.setSpan(parent, span) }),
      });
    },
  };
}

/** One trace, the caller's if its headers carry one. The work after the service is a child span of it. */
export function tracedJson<Answer>(
  answer: AnswerJson<Answer>,
  tracers: { readonly service: Tracer; readonly json: Tracer },
  active: ActiveContext,
): AnswerJson<Answer> {
  return async (service, body, headers) => {
    const caller = callerOf((name) => [headers[name]].flat()[0]);
    let executed: Executed | undefined;
    const answered = await answer(
      executing(
        service,
        tracers.service,
        active,
        () => caller,
        (what) => {
          executed = what;
        },
      ),
      body,
      headers,
    );
    if (executed === undefined) return answered;
    const { reply, atMs, context } = executed;
    const span = tracers.json.startSpan('NewJsonHandler Remaining Execution', { startTime: atMs }, context);
    if (span.isRecording()) span.setAttribute('response', replyText(reply));
    span.end(performance.now());
    return answered;
  };
}
