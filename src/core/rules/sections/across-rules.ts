/** Checks that compare the rules of a policy with each other. */
import type { Read } from '../../../expression/index.ts';
import type { TimeSlice } from '../../../time/time-slice.ts';
import { meant } from '../../../text/nearest.ts';
import { isBareToken } from '../client-chosen.ts';
import type { HandlersSection } from './handlers-section.ts';
import type { QuotaAction, Rule } from '../rule.ts';
import type { Findings } from '../../../yaml/findings.ts';
import type { Node, Place } from '../../../yaml/nodes.ts';

const BODY: ReadonlySet<string> = new Set(['request.body', 'request.raw_body']);

interface RulePlaces {
  readonly rule: Place;
  readonly match: Place | undefined;
  readonly action: Node | undefined;
  readonly calls: Place | undefined;
  readonly onError: Place | undefined;
}

export class AcrossRules {
  readonly #handlers: HandlersSection;
  readonly #findings: Findings;
  readonly #groups = new Set<string>();
  readonly #needed: { readonly group: string; readonly place: Place }[] = [];
  /** By handler and counter, of the first rule that names it. */
  readonly #counters = new Map<string, { readonly action: QuotaAction; readonly rule: string }>();
  /** Rules that refuse, and read the body behind a guard. */
  readonly #bodies: { readonly rule: string; readonly place: Place }[] = [];
  #refusesPartialBodies = false;

  constructor(handlers: HandlersSection, findings: Findings) {
    this.#handlers = handlers;
    this.#findings = findings;
  }

  add({ name, action, calls, onError }: Rule, reads: readonly Read[], places: RulePlaces): void {
    if (reads.some((one) => one.name === 'request.body_is_partial')) this.#refusesPartialBodies = true;
    if ((action?.kind === 'deny' || action?.kind === 'check') && reads.some((one) => BODY.has(one.name) && one.guarded))
      this.#bodies.push({ rule: name, place: places.match ?? places.rule });
    if (action?.kind === 'allow') this.#groups.add(action.group);
    if (action?.kind === 'deny' && action.unlessAllowed !== undefined) {
      this.#needed.push({ group: action.unlessAllowed, place: placeAt(places.action, 'unlessAllowed') ?? places.rule });
      if (places.calls === undefined && calls.has('http') && !calls.has('tcp'))
        this.#findings.warn(
          'RULES_TCP_OPEN',
          places.rule,
          `${name} closes http calls but leaves tcp calls open; add a rule that closes tcp, or write calls: [http] if tcp is not used`,
        );
    }
    if (action?.kind === 'quota' && places.action !== undefined) {
      this.#checkCounter(name, action, places.action);
      this.#checkOnce(action, places.action);
      if (onError.local) this.#checkLocal(action, places.onError ?? places.rule);
    }
  }

  /** After all documents: a rule may name a group that a later one fills. */
  async end(slice: TimeSlice): Promise<void> {
    // A rule with an error is not here, and may be what the others lack.
    if (this.#findings.hasErrors) return;
    if (!this.#refusesPartialBodies)
      for (const { rule, place } of this.#bodies)
        this.#findings.warn(
          'RULES_PARTIAL_BODY',
          place,
          `${rule} reads the body behind a guard, so it does not apply if Envoy sends no body or only its beginning; add a rule ` +
            'with match: request.body_is_partial, deny: { status: 413 }, or read the body without the guard',
        );
    for (const { group, place } of this.#needed) {
      if (slice.isOver) await slice.next();
      if (this.#groups.has(group)) continue;
      const what = group === '' || /^(?:yes|on)$/i.test(group) ? 'true' : group;
      this.#findings.error(
        'RULES_UNKNOWN_GROUP',
        place,
        `no allow rule belongs to the group ${group || 'true'}${meant(group, this.#groups)}; ` +
          (what === group || group === ''
            ? `add a rule with allow: ${what}`
            : 'for allow rules without a group write true'),
      );
    }
  }

  #checkCounter(rule: string, action: QuotaAction, node: Node): void {
    const { counter, handler, perMs, zone, algorithm } = action;
    const id = `${handler} ${counter}`;
    const first = this.#counters.get(id);
    if (first === undefined) this.#counters.set(id, { action, rule });
    else if (first.action.perMs !== perMs || first.action.zone !== zone || first.action.algorithm !== algorithm)
      this.#findings.error(
        'RULES_COUNTER',
        node.place,
        `${rule} shares the counter ${counter} with ${first.rule}, but differs in per, zone or algorithm; ` +
          'make them equal, or choose another counter',
      );
  }

  #checkOnce({ once }: QuotaAction, node: Node): void {
    if (once === undefined || !isBareToken(once.reads)) return;
    this.#findings.warn(
      'RULES_CLIENT_CHOOSES',
      placeAt(node, 'once') ?? node.place,
      `a client that always sends the same ${once.source} is charged once only; ` +
        'have the proxy set it, or combine it with what is charged for, such as request.url_path',
    );
  }

  #checkLocal({ handler: name, algorithm }: QuotaAction, place: Place): void {
    const { handlers } = this.#handlers;
    const own = handlers.get(name);
    if (own === undefined || this.#handlers.brokenLocals.has(name)) return;
    if (own.local === undefined)
      return this.#findings.error(
        'RULES_ON_ERROR',
        place,
        `onError: local needs a fallback handler, and ${name} has none; add local: { handler: NAME, replicas: N } to ${name}`,
      );
    const other = handlers.get(own.local.handler);
    const algorithms = other?.implementation.serves.quota?.algorithms;
    if (other !== undefined && algorithms?.includes(algorithm) === false)
      this.#findings.error(
        'RULES_CAPABILITY',
        place,
        `${own.local.handler}, the fallback of ${name}, is a ${other.adapter}, which supports ${algorithms.join(', ')}, not ${algorithm}`,
      );
  }
}

const placeAt = (node: Node | undefined, key: string): Place | undefined =>
  node?.kind === 'map' ? node.entries.get(key)?.value.place : undefined;
