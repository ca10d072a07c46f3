/**
 * **In**: an adapter, a parsed config, how to reach the place where the handler runs. **Out**: an open handler like that of
 * `openHandler`: check, lookup, bucket and sink are synchronous, and what they prepare is asked over the channel.
 * **Fails**: with an {@link AdapterError} that names adapter and handler. While the place is gone, calls fail as `Unavailable`.
 */
import {
  type Adapter,
  type AnyHandler,
  type Call,
  type Capability,
  FOUND,
  type LeasePage,
  Rejected,
  Unavailable,
} from '../contract.ts';
import { handlerLog } from '../log/handler-log.ts';
import { ratedLog, RECEIVED_LINES, type ReceivedLine } from '../log/line-rate.ts';
import { type HandlerEnvironment, type HandlerToOpen, type OpenHandler, secretsOf } from '../open-handler.ts';
import { OutageLog } from '../outage-log.ts';
import { isCounterName, MAX_COUNTERS } from '../plugin-metrics.ts';
import { useSecrets } from '../secrets-in-use.ts';
import { messageOf } from '../../text/message-of.ts';
import { faultOfPlugin } from './error-fields.ts';
import { Link } from './link.ts';
import { PendingAnswers } from './pending-answers.ts';
import { type PreparedSlot, PreparedSlots } from './prepared-slots.ts';
import { ReasonsAway } from './reasons-away.ts';
import type {
  AnswerKind,
  Counted,
  Answered,
  CallFields,
  CallMessage,
  ErrorFields,
  FromHandler,
  OpenChannel,
  RuleFields,
  Slot,
  ToHandler,
} from './protocol.ts';

/** Inspections and metrics pages are asked without a call. */
const PAGE_MS = 2000;

/** A rule that ends the handler is found by ending it twice. */
const OPENINGS_TO_PREPARE = 3;

/** Unavailability that is in the log already. */
class Away extends Unavailable {
  readonly isLogged = true;
}

/** `where`: the place, for operators: `worker`, or an address. `longestPauseMs`: of the back-off before it is opened again. */
export async function openIsolated(
  adapter: Adapter,
  toOpen: HandlerToOpen,
  environment: HandlerEnvironment,
  where: string,
  openChannel: OpenChannel,
  longestPauseMs = 30_000,
): Promise<OpenHandler> {
  const { name, config, folder } = toOpen;
  const fields = { handler: name, adapter: adapter.name };
  const secrets = secretsOf(adapter, toOpen);
  const isClosed = useSecrets(secrets);
  const log = handlerLog(environment.log, secrets, fields);
  const lines = ratedLog(log, RECEIVED_LINES);
  const outage = new OutageLog(log, { ...fields, runs: where });
  const reasons = new ReasonsAway();
  const metrics = environment.metrics.forHandler(name, secrets);
  const counters = new Map<string, ReturnType<typeof metrics.counter>>();
  const openWithinMs = environment.openWithinMs ?? 10_000;
  let hasPage = false;
  let lastWhy: { readonly why: string; readonly atMs: number } | undefined;

  const link = new Link({
    openChannel,
    open: {
      kind: 'open',
      handler: name,
      adapter: adapter.name,
      config,
      folder,
      worker: environment.worker ?? { number: 1, count: 1 },
      openWithinMs,
    },
    signal: environment.signal,
    restartAfterMs: environment.restartAfterMs,
    longestPauseMs,
    closeWithinMs: environment.closeWithinMs ?? 5000,
    replay: () => slots.replay(),
    received,
    opened({ has }, on) {
      if (has.reset) handler.reset = (asks) => inspect('reset', asks);
      if (has.look) handler.look = (asks, leases) => inspect('look', asks, leases);
      slots.opened();
      answers.sendWaiting(on);
      outage.succeeded('a handler runs again');
    },
    gone(said) {
      const why = secrets.text(said);
      lastWhy = { why, atMs: Date.now() };
      if (outage.failed('a handler ended; its calls fail until it is open again', why)) reasons.logged(why);
      else if (reasons.isNews(why)) log.warn('a handler cannot be opened again', { runs: where, why });
      slots.lost(why);
      answers.failWaiting(new Away(`it ended: ${why}`));
    },
    cut(on, said, wasSentAway) {
      answers.cut(on, new Away(`it ended: ${secrets.text(said)}`), wasSentAway);
      if (link.current !== undefined) answers.sendWaiting(link.current);
    },
    unsendable,
  });
  const slots = new PreparedSlots(
    (message) => link.send(message),
    (rule, why) =>
      log.error('a handler refuses a rule; its calls fail until the plugin takes it, or the policy is corrected', {
        rule,
        why,
      }),
  );
  const answers = new PendingAnswers({
    onAbandoned: (number, why, on) => on.send({ kind: 'cancel', number, why }),
    onIgnored: () => counter('ignored_answers', 'Answers of a handler that no call waits for any more.').add(),
  });

  function counter(counterName: string, help: string): ReturnType<typeof metrics.counter> {
    const known = counters.get(counterName);
    if (known !== undefined) return known;
    const made = metrics.counter(counterName, help);
    if (counters.size < MAX_COUNTERS) counters.set(counterName, made); // others count nothing
    return made;
  }

  // ---------------------------------------------------------- messages of the handler

  /** The other side may be anybody's program: a bad name or amount is ignored, and so are names beyond a bound. */
  function counted({ name: counterName, help, amount }: Counted): void {
    if (!(amount >= 0 && amount < Infinity)) return;
    if (isCounterName(counterName)) counter(counterName, help).add(amount);
  }

  function received(message: FromHandler): void {
    switch (message.kind) {
      case 'answered':
        return answers.answered(message.number, answerOf(message), message.by);
      case 'failed':
        return answers.failed(message.number, errorOf(message.error));
      case 'prepared':
        return slots.answered(message.slot, message.why);
      case 'log':
        return 'octets' in message
          ? lines.received(message as ReceivedLine)
          : lines[message.level](message.message, message.fields);
      case 'counted':
        return counted(message);
      case 'hasPage':
        if (!hasPage) metrics.page(page);
        hasPage = true;
        return undefined;
      case 'escaped':
        return environment.escaped?.take(errorOf(message.error), message.how, adapter.name);
      case 'opened':
      case 'openFailed':
      case 'closed':
      case 'readiness':
        return undefined; // of its channel
    }
  }

  function refusal(): string | undefined {
    const refused = slots.refusal;
    return refused === undefined ? undefined : `it refuses rule ${refused.rule}: ${refused.why}`;
  }

  function unsendable(message: ToHandler, error: unknown): void {
    const why = `it cannot be passed on: ${messageOf(error)}`;
    if (message.kind === 'prepare') slots.answered(message.slot, `the rule's params: ${why}`);
    else if ('call' in message) answers.failed(message.call.number, new Rejected(`the input: ${why}`));
    else log.error('a message to the handler was not sent', { kind: message.kind, why });
  }

  // ---------------------------------------------------------- calls of the host

  const away = (): Away => new Away(`it is not running: ${link.awayWhy}`);

  function asked(call: Call, expects: AnswerKind, message: (call: CallFields) => CallMessage): Promise<unknown> {
    if (!link.isOpen) throw away();
    return answers.ask(call, expects, link.current, message);
  }

  function ask(slot: PreparedSlot, input: Readonly<Record<string, unknown>>, call: Call): Promise<unknown> {
    if (slot.state === 'rejected') throw faultOfPlugin(slot.why ?? 'it refused the rule');
    if (slot.state === 'suspect') throw new Away('it is not running: it prepares the rule again');
    const expects = slot.message.capability === 'check' ? 'check' : 'lookup';
    return asked(call, expects, (fields) => ({ kind: 'ask', call: fields, slot: slot.message.slot, input }));
  }

  async function page(): Promise<string> {
    if (!link.isOpen) return '';
    const rendered = (call: CallFields): CallMessage => ({ kind: 'renderPage', call });
    return String(await answers.ask(callOf(PAGE_MS), 'page', link.current, rendered, 0));
  }

  const prepared = (capability: Capability, rule: RuleFields): unknown =>
    slots.add(capability, rule, (slot) =>
      capability === 'check' || capability === 'enrich'
        ? (input: Readonly<Record<string, unknown>>, call: Call) => ask(slot, input, call)
        : slot.message.slot,
    );

  function inspect(kind: 'look' | 'reset', asks: readonly unknown[], leases?: LeasePage): Promise<never> {
    const expects = kind === 'look' ? 'look' : 'done';
    const message = (call: CallFields): CallMessage => ({ kind, call, asks: asks as never, leases });
    return asked(callOf(PAGE_MS), expects, message) as Promise<never>;
  }

  const { serves } = adapter;
  const handler: AnyHandler = {
    ...(serves.check === undefined ? {} : { check: (rule) => prepared('check', rule) as never }),
    ...(serves.enrich === undefined ? {} : { lookup: (rule) => prepared('enrich', rule) as never }),
    ...(serves.quota === undefined
      ? {}
      : {
          bucket: (rule) => prepared('quota', rule),
          charge: (asks, call) =>
            asked(call, 'charge', (made) => ({ kind: 'charge', call: made, asks: asks as never })) as Promise<never>,
        }),
    ...(serves.report === undefined
      ? {}
      : {
          sink: (rule) => prepared('report', rule),
          write: (entries, call) =>
            asked(call, 'done', (made) => ({ kind: 'write', call: made, entries: entries as never })) as Promise<never>,
        }),
    forget(made) {
      const slot: Slot | undefined = slots.forget(made);
      if (slot !== undefined) link.send({ kind: 'forget', slot });
    },
  };

  try {
    await link.open();
  } catch (error) {
    metrics.withdraw();
    isClosed();
    throw error;
  }

  async function end(): Promise<void> {
    await link.close(environment.closeWithinMs ?? 5000);
    answers.failAll(new Away('it is closed'));
    lines.end();
    metrics.withdraw();
    isClosed();
  }
  let ending: Promise<void> | undefined;
  return {
    handler,
    readiness() {
      const why = link.isOpen ? (link.current?.notReady ?? refusal()) : `it is not running: ${link.awayWhy}`;
      return { ready: why === undefined, why: why === undefined ? undefined : secrets.text(why) };
    },
    rejected: () => slots.rejected(openWithinMs * OPENINGS_TO_PREPARE, () => !link.isOpen),
    running: () => ({ where, restarts: link.restarts, lastEnd: lastWhy }),
    close: () => (ending ??= end()),
  };
}

function callOf(remainingMs: number): Call {
  return {
    id: '',
    remainingMs,
    get signal() {
      return AbortSignal.timeout(remainingMs);
    },
  };
}

const answerOf = ({ answer, validity }: Answered): unknown =>
  validity === undefined ? answer : { [FOUND]: true, values: answer, ...validity };

/** The error as the handler threw it. */
function errorOf({ name, message, stack, retryAfterMs, entries }: ErrorFields): Error {
  if (name === 'Unavailable') return new Unavailable(message, retryAfterMs);
  if (name === 'Rejected') return new Rejected(message, entries);
  const error = new Error(message);
  error.name = name;
  error.stack = stack ?? `${name}: ${message}`;
  return error;
}
