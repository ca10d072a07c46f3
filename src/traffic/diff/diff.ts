/**
 * Compares two policies by recorded calls, or one policy with the verdicts that were recorded.
 * **In**: calls, in order. **Out**: the calls that are decided differently, in groups, with samples. **Fails**: never for a call.
 */
import type { RequestBag } from '../../attributes/bag.ts';
import { jsonOfValue } from '../../attributes/json-of-value.ts';
import type { LimitVerdict, Verdict } from '../../core/call.ts';
import type { ReadCall } from '../read-calls.ts';
import type { Replay } from '../replay/replay.ts';
import { type Difference, differenceOf, recordedSide, type Side, sideOf } from './difference.ts';
import { Explained, type Why, whyOf } from './why.ts';

export interface Sample extends Why {
  /** Where the call was read. */
  readonly at: string;
  readonly id: string;
  readonly time: string;
  readonly call: string;
  readonly request: Readonly<Record<string, unknown>>;
}

export interface Group {
  readonly text: string;
  readonly before: SideOfGroup;
  readonly after: SideOfGroup;
  calls: number;
  readonly samples: Sample[];
}

type SideOfGroup = Pick<Side, 'outcome' | 'rule' | 'status'>;

/** Further groups are one: a policy may have many thousands of rules. */
const MAX_GROUPS = 1000;
const OTHERS = 'other differences';

export class Diff {
  readonly #old: Replay | undefined;
  readonly #new: Replay;
  readonly #explainedOld: Explained | undefined;
  readonly #explainedNew: Explained;
  readonly #maxSamples: number;
  readonly #groups = new Map<string, Group>();
  compared = 0;
  differing = 0;
  /** Calls without a recorded verdict, where there is no other policy. */
  notCompared = 0;

  /** `old`: undefined compares with the recorded verdicts. `maxSamples`: per group. */
  constructor(old: Replay | undefined, next: Replay, maxSamples: number) {
    this.#old = old;
    this.#new = next;
    this.#explainedOld = old === undefined ? undefined : new Explained('old', old.policy);
    this.#explainedNew = new Explained('new', next.policy);
    this.#maxSamples = maxSamples;
  }

  /** The largest first. */
  get groups(): readonly Group[] {
    return [...this.#groups.values()].toSorted((a, b) => b.calls - a.calls);
  }

  /** A promise if a handler answers later, or if the call becomes a sample. */
  add(read: ReadCall): undefined | Promise<void> {
    const { call } = read;
    if (this.#old === undefined) {
      // The policy decides it all the same, since its quotas count.
      const now = call.verdict === undefined ? undefined : recordedSide(call.verdict);
      return this.#afterwards(read, now, this.#new.decide(call));
    }
    const now = this.#old.decide(call);
    return now instanceof Promise
      ? now.then((verdict) => this.#afterwards(read, sideOf(verdict), this.#new.decide(call)))
      : this.#afterwards(read, sideOf(now), this.#new.decide(call));
  }

  #afterwards(
    read: ReadCall,
    now: Side | undefined,
    then: Verdict | LimitVerdict | Promise<Verdict | LimitVerdict>,
  ): undefined | Promise<void> {
    return then instanceof Promise
      ? then.then((verdict) => this.#compared(read, now, sideOf(verdict)))
      : this.#compared(read, now, sideOf(then));
  }

  #compared(read: ReadCall, now: Side | undefined, then: Side): undefined | Promise<void> {
    if (now === undefined) {
      this.notCompared++;
      return undefined;
    }
    this.compared++;
    const difference = differenceOf(now, then);
    if (difference === undefined) return undefined;
    this.differing++;
    const group = this.#groupOf(difference.text, now, then);
    group.calls++;
    return group.samples.length < this.#maxSamples ? this.#sample(read, group, difference, now, then) : undefined;
  }

  #groupOf(text: string, now: Side, then: Side): Group {
    const name = this.#groups.size >= MAX_GROUPS && !this.#groups.has(text) ? OTHERS : text;
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { text: name, before: shortOf(now), after: shortOf(then), calls: 0, samples: [] };
      this.#groups.set(name, group);
    }
    return group;
  }

  async #sample(
    { file, line, call }: ReadCall,
    group: Group,
    { rules }: Difference,
    now: Side,
    then: Side,
  ): Promise<void> {
    // The descriptor that is over its limit in one of the two.
    const which = Math.max(
      0,
      then.over.findIndex((over, at) => over !== (now.over[at] ?? false)),
    );
    const newBags = await this.#new.bags(call);
    const oldBags = await this.#old?.bags(call);
    const bag = newBags[which] as RequestBag;
    const oldBag = oldBags?.[which];
    const sides = [
      ...(oldBag === undefined || this.#explainedOld === undefined
        ? []
        : [{ explained: this.#explainedOld, bag: oldBag, side: now }]),
      { explained: this.#explainedNew, bag, side: then },
    ];
    group.samples.push({
      at: `${file}:${line}`,
      id: call.id,
      time: new Date(call.timeMs).toISOString(),
      call: call.call,
      request: requestOf(call.call, bag),
      ...whyOf(rules, sides),
    });
  }
}

const shortOf = ({ outcome, rule, status }: Side): SideOfGroup => ({ outcome, rule, status });

/** Names a request for a reader. */
const FIELDS = {
  http: { method: 'request.method', host: 'request.host', path: 'request.path' },
  tcp: { serverName: 'connection.requested_server_name', port: 'destination.port' },
  authzen: {
    subject: 'authzen.subject.id',
    action: 'authzen.action.name',
    type: 'authzen.resource.type',
    resource: 'authzen.resource.id',
  },
  limit: { domain: 'ratelimit.domain', descriptor: 'ratelimit.entries' },
} as const;
const PEER = { client: 'origin.ip', principal: 'source.principal' };

export function requestOf(call: keyof typeof FIELDS, bag: RequestBag): Readonly<Record<string, unknown>> {
  const fields = call === 'http' || call === 'tcp' ? { ...FIELDS[call], ...PEER } : FIELDS[call];
  return Object.fromEntries(
    Object.entries(fields).flatMap(([field, name]) => {
      const slot = bag.attributes.slotOf(name);
      const value = slot === undefined ? undefined : bag.get(slot);
      return value === undefined ? [] : [[field, jsonOfValue(value)] as const];
    }),
  );
}
