/**
 * What the rules of one snapshot prepared with handlers: functions, buckets and sinks.
 * **In**: each of them, as it is prepared. **Out**: rules that a handler rejected after it had prepared them; handlers that keep something
 * for each are told when the snapshot no longer uses it. **Fails**: never; errors of a handler are logged.
 *
 * Only for handlers that have a method for either, so it costs nothing for the others.
 */
import { messageOf } from '../../text/message-of.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import type { LiveHandler } from '../handlers/live-handler.ts';
import type { HandlerSpec } from '../rules/policy.ts';
import type { Rule } from '../rules/rule.ts';

interface OfHandler {
  /** At equal indexes. */
  readonly made: unknown[];
  readonly rules: Rule[];
}

export class Preparations {
  readonly #byHandler = new Map<LiveHandler, OfHandler>();
  readonly #secrets: (() => void)[] = [];

  /** The params of this policy's rules may have secrets that those of the handler's first policy did not have. */
  hide(handler: LiveHandler, { secrets }: HandlerSpec): void {
    if (!secrets.areNone) this.#secrets.push(handler.secrets.include(secrets));
  }

  add(handler: LiveHandler, made: unknown, rule: Rule): void {
    if (handler.open.handler.forget === undefined && handler.open.rejected === undefined) return;
    let known = this.#byHandler.get(handler);
    if (known === undefined) this.#byHandler.set(handler, (known = { made: [], rules: [] }));
    known.made.push(made);
    known.rules.push(rule);
  }

  /** Rejected rules, in their order, with the reason. Waits for handlers that answer later. */
  async rejected(): Promise<readonly { readonly rule: Rule; readonly why: string }[]> {
    const all = await Promise.all(
      [...this.#byHandler].map(async ([{ open, gate }, { made, rules }]) => {
        const rejected = await open.rejected?.();
        return rejected === undefined || rejected.size === 0
          ? []
          : rules.flatMap((rule, at) => {
              const why = rejected.get(made[at]);
              return why === undefined ? [] : [{ rule, why: `[${gate.label}] ${why}` }];
            });
      }),
    );
    return all.flat().toSorted((a, b) => a.rule.index - b.rule.index);
  }

  /** In time slices. Reports that wait for a handler are written first, since they name their sinks. */
  async forget(): Promise<void> {
    await Promise.all([...this.#byHandler].map(([handler, of]) => forgetAll(handler, of)));
    this.#byHandler.clear();
    for (const release of this.#secrets.splice(0)) release();
  }
}

async function forgetAll(live: LiveHandler, { made }: OfHandler): Promise<void> {
  const { handler } = live.open;
  if (handler.forget === undefined || live.isClosing) return;
  await live.reports?.passed();
  const slice = new TimeSlice();
  for (const one of made) {
    if (live.isClosing) return;
    try {
      handler.forget(one);
    } catch (error) {
      return live.logError('forgetting the rules of a policy failed', messageOf(error));
    }
    if (slice.isOver) await slice.next();
  }
}
