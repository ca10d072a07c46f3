/**
 * Recent verdicts with why. Refusals have room of their own, and so have allowed calls that a shadow rule would have refused:
 * a sample of allowed calls displaces neither. A call pays for keeping a reference; what it looked at is worked out again from
 * the kept bag when somebody asks, or when its policy is replaced, since a bag holds the whole policy.
 */
import { RecordingBag, type RequestBag } from '../../attributes/bag.ts';
import type { CallKind } from '../../attributes/carrier.ts';
import { ShownRequest } from '../../attributes/shown-request.ts';
import type { LimitVerdict, Outcome, Reason, Verdict } from '../call.ts';
import { keyForPeople } from '../dispatch/quota-look.ts';
import { type KeepRoom, VerdictRoom } from './verdict-buffer.ts';
import type { Snapshot } from '../snapshot/snapshot.ts';

const MIB = 1024 * 1024;
/**
 * `burst` and `perS` bound how fast a room fills, so that what is in it stays for some time whatever clients send: a refusal for at least
 * five minutes. All go after a quarter of an hour. docs/verdicts.md says these numbers; a test holds the two together.
 */
export const KEEP: Readonly<Record<'refused' | 'shadow' | 'allowed', KeepRoom>> = {
  refused: { count: 4096, bytes: 32 * MIB, burst: 1024, perS: 10, forMs: 900_000 },
  shadow: { count: 512, bytes: 4 * MIB, burst: 256, perS: 1, forMs: 900_000 },
  allowed: { count: 256, bytes: 4 * MIB, burst: 1, perS: 20, forMs: 900_000 },
};
/** Working out what was kept goes on in slices, so that calls are answered in between. */
const SLICE_MS = 5;

export interface KeptVerdict {
  /** Of the verdict. */
  readonly id: string;
  readonly timeMs: number;
  readonly call: CallKind;
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly reasons: readonly Reason[];
  readonly shadow: readonly string[];
  /** Of the request; null where its call has none, `(secret)` where not to be shown. In `limit` of the first descriptor. */
  readonly request: Readonly<Record<RequestField, unknown>>;
  /** Of the quota rules among those that it came to. */
  readonly quotaKeys: readonly {
    readonly rule: string;
    readonly key: readonly { readonly source: string; readonly value: unknown }[];
  }[];
  /** What the rules' matches looked at, by name; null where absent, `(secret)` where not to be shown. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

const FIELDS = {
  requestId: 'request.id',
  method: 'request.method',
  host: 'request.host',
  path: 'request.path',
  peer: 'source.ip',
  client: 'origin.ip',
  principal: 'source.principal',
  domain: 'ratelimit.domain',
  descriptor: 'ratelimit.entries',
} as const;
export type RequestField = keyof typeof FIELDS;

export interface VerdictFilter {
  /** Of the verdict or of the request (x-request-id). */
  readonly id?: string;
  /** It decided, or it would have refused in shadow mode. */
  readonly rule?: string;
  readonly outcome?: Outcome;
  readonly call?: CallKind;
  readonly host?: string;
  /** Without its query; one that ends in `*` stands for all that begin so. */
  readonly path?: string;
  /** 100 where absent. */
  readonly limit?: number;
}

interface Live {
  readonly snapshot: Snapshot;
  readonly bag: RequestBag;
  readonly call: CallKind;
  readonly verdict: Verdict | LimitVerdict;
  readonly timeMs: number;
}
/** What stays of an entry whose policy is no longer in force is its answer. */
type Answer = { live: Live; told: undefined } | { live: undefined; told: KeptVerdict };
/** `number` runs: many calls end in one millisecond. */
type Kept = Answer & { readonly number: number };

export class KeptVerdicts {
  #inForce: Snapshot | undefined;
  #next = 0;
  readonly #refused = new VerdictRoom<Kept>(KEEP.refused);
  readonly #shadow = new VerdictRoom<Kept>(KEEP.shadow);
  readonly #allowed = new VerdictRoom<Kept>(KEEP.allowed);

  /** `atMs`: by `performance.now()`; `timeMs` tells the time of day. */
  offer(
    snapshot: Snapshot,
    bag: RequestBag | undefined,
    call: CallKind,
    verdict: Verdict | LimitVerdict,
    atMs: number,
    timeMs: () => number,
  ): void {
    if (bag === undefined) return;
    const room = verdict.outcome !== 'allow' ? this.#refused : verdict.shadow.length > 0 ? this.#shadow : this.#allowed;
    const { weight } = bag.wire;
    if (!room.admits(atMs, weight, verdict.rule)) return;
    bag.wire.keep();
    const live = { snapshot, bag, call, verdict, timeMs: timeMs() };
    // A call that its policy's replacement overtook must not hold that policy.
    const number = this.#next++;
    room.add(
      snapshot === this.#inForce
        ? { number, live, told: undefined }
        : { number, live: undefined, told: toldOf({ live, told: undefined }) },
      weight,
      atMs,
    );
  }

  /** Refusals and shadow hits that were not kept, since too many came. */
  get skipped(): number {
    return this.#refused.skipped + this.#shadow.skipped;
  }

  /** The newest first. */
  list(filter: VerdictFilter = {}, nowMs: number = performance.now()): readonly KeptVerdict[] {
    const { limit = 100 } = filter;
    const found: KeptVerdict[] = [];
    const all = [this.#refused, this.#shadow, this.#allowed].flatMap((room) => room.entries(nowMs));
    for (const kept of all.toSorted((a, b) => b.number - a.number)) {
      if (found.length >= limit) break;
      if (passes(kept, filter)) found.push(toldOf(kept));
    }
    return found;
  }

  /** Lets go of all policies but this one. Settles when that is done. */
  async settle(inForce: Snapshot): Promise<void> {
    this.#inForce = inForce;
    let sliceEndsAtMs = performance.now() + SLICE_MS;
    for (const room of [this.#refused, this.#shadow, this.#allowed]) {
      for (const kept of room.entries(performance.now())) {
        if (kept.live === undefined || kept.live.snapshot === inForce) continue;
        const told = toldOf(kept);
        Object.assign(kept, { live: undefined, told });
        if (performance.now() < sliceEndsAtMs) continue;
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
        sliceEndsAtMs = performance.now() + SLICE_MS;
      }
    }
  }
}

/** What needs no working out first: filters are tried on all that is kept. */
function passes(kept: Kept, { id, rule, outcome, call, host, path }: VerdictFilter): boolean {
  const { live, told } = kept;
  const { verdict, call: own } = live ?? { verdict: told, call: told.call };
  if (outcome !== undefined && verdict.outcome !== outcome) return false;
  if (call !== undefined && own !== call) return false;
  if (rule !== undefined && verdict.rule !== rule && !verdict.shadow.includes(rule)) return false;
  if (id === undefined && host === undefined && path === undefined) return true;
  const request = live === undefined ? told.request : fieldsOf(new ShownRequest(live.bag));
  if (id !== undefined && verdict.id !== id && request.requestId !== id) return false;
  if (host !== undefined && String(request.host).toLowerCase() !== host.toLowerCase()) return false;
  if (path === undefined) return true;
  const asked = typeof request.path === 'string' ? request.path.replace(/[?#].*$/s, '') : '';
  return path.endsWith('*') ? asked.startsWith(path.slice(0, -1)) : asked === path;
}

const fieldsOf = (shown: ShownRequest): KeptVerdict['request'] =>
  Object.fromEntries(Object.entries(FIELDS).map(([field, name]) => [field, shown.named(name)])) as Record<
    RequestField,
    unknown
  >;

function toldOf({ live, told }: Answer): KeptVerdict {
  if (live === undefined) return told;
  const {
    snapshot,
    bag,
    call,
    verdict: { id, outcome, rule, reasons, shadow },
    timeMs,
  } = live;
  const shown = new ShownRequest(bag);
  return {
    id,
    timeMs,
    call,
    outcome,
    rule,
    shadow,
    reasons: reasons.map((reason) => ({ ...reason, text: shown.text(reason.text) })),
    request: fieldsOf(shown),
    quotaKeys: quotaKeysOf(snapshot, bag, call, new Set([rule, ...shadow, ...reasons.map((reason) => reason.rule)])),
    attributes: lookedAt(snapshot, bag, call, shown),
  };
}

function quotaKeysOf(
  snapshot: Snapshot,
  bag: RequestBag,
  call: CallKind,
  rules: ReadonlySet<string | undefined>,
): KeptVerdict['quotaKeys'] {
  return snapshot.quotas
    .filter(({ rule: { name, calls } }) => calls.has(call) && rules.has(name))
    .map(({ rule, action }) => ({ rule: rule.name, key: keyForPeople(action.key, bag) }));
}

function lookedAt(
  { candidates, attributes }: Snapshot,
  bag: RequestBag,
  call: CallKind,
  shown: ShownRequest,
): Record<string, unknown> {
  const recording = new RecordingBag(bag);
  for (const { rule } of [...candidates.checks(bag, call), ...candidates.quotas(bag, call)])
    rule.match?.evaluate(recording);
  return Object.fromEntries(
    [...recording.looked.keys()].map((slot) => [attributes.at(slot).name, shown.attribute(slot)]),
  );
}
