import { AsyncLocalStorage } from 'node:async_hooks';
import { type Context, ROOT_CONTEXT, type Span, SpanStatusCode, type TextMapGetter, trace } from '@opentelemetry/api';
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { B3Propagator } from '@opentelemetry/propagator-b3';
import { messageOf } from '../text/message-of.ts';

/** The active span, kept across awaits. Not the library's global context manager, since one process may run several servers. */
export class ActiveContext {
  readonly #storage = new AsyncLocalStorage<Context>();

  /** `undefined` outside a call. */
  get(): Context | undefined {
    return this.#storage.getStore();
  }

  /** Runs the work with the span active, and ends the span when the work settles. */
  within<T>(span: Span, parent: Context, work: () => T | Promise<T>, ends: SpanEnds<T> = {}): T | Promise<T> {
    const succeeded = (value: T): T => {
      ends.succeeded?.(value);
      span.end();
      return value;
    };
    const failed = (error: unknown): never => {
      ends.failed?.(error);
      span.end();
      throw error;
    };
    let done: T | Promise<T>;
    try {
      done = this.#storage.run(trace.setSpan(parent, span), work);
    } catch (error) {
      return failed(error);
    }
    return done instanceof Promise ? done.then(succeeded, failed) : succeeded(done);
  }
}

/** Called before the span ends. */
export interface SpanEnds<T> {
  readonly succeeded?: (value: T) => void;
  readonly failed?: (error: unknown) => void;
}

export const failedBy =
  (span: Span) =>
  (error: unknown): void =>
    void span.setStatus({
      code: SpanStatusCode.ERROR,
      message: messageOf(error),
    });

/** The last propagator that finds a context wins: W3C over b3. */
const PROPAGATOR = new CompositePropagator({
  propagators: [new B3Propagator(), new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
});

type Headers = (name: string) => string | undefined;
const GETTER: TextMapGetter<Headers> = { get: (header, name) => header(name), keys: () => [] };

/** The caller's context from `traceparent` or b3; empty for none. */
export const callerOf = (header: Headers): Context => PROPAGATOR.extract(ROOT_CONTEXT, header, GETTER);
