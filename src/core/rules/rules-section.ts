/**
 * `rules:` of a policy.
 * **In**: the lists of all documents, attributes and handlers. **Out**: rules, compiled, in order. **Fails**: with findings.
 */
import type { Shape } from '../../adapters/contract.ts';
import type { Attribute, Attributes } from '../../attributes/attributes.ts';
import { CALL_KINDS, type CallKind } from '../../attributes/carrier.ts';
import { BOOL, STRING, type Type } from '../../attributes/types.ts';
import type { Compiled, Read } from '../../expression/index.ts';
import { ACTION_KINDS, type ActionKind, ActionReader, type ReadAction, outputConvert } from './actions.ts';
import { CALLS_OF, type Carriage } from './carriage.ts';
import { ChangesReader } from './changes.ts';
import { TYPE_OF } from './convert.ts';
import { expressionOf } from './expressions.ts';
import { isBareToken, isClientChosen } from './client-chosen.ts';
import { type Fields, checkName, fieldsOf, listOfNodes } from './fields.ts';
import type { Findings } from './yaml/findings.ts';
import type { HandlersSection } from './handlers-section.ts';
import { meant } from '../../text/nearest.ts';
import { type LaterItems, type Node, type Place, nodeText } from './yaml/nodes.ts';
import { onErrorOf } from './on-error.ts';
import { Secrecy } from './secrecy.ts';
import type { Action, Changes, EnrichOutput, Mode, QuotaAction, Rule } from './rule.ts';
import type { TimeSlice } from '../../time/time-slice.ts';

const KEYS = [
  'name',
  'description',
  'match',
  'calls',
  ...ACTION_KINDS,
  'onAllow',
  'onDeny',
  'onError',
  'mode',
  'sample',
];

/** `rules:` of one document. */
export interface RuleList {
  readonly node: Node;
  /** What follows the items of the node. */ readonly later: readonly LaterItems[];
}

export interface RulesContext {
  readonly attributes: Attributes;
  readonly handlers: HandlersSection;
  readonly carriage: Carriage;
  readonly enrichOutputs: ReadonlyMap<string, readonly EnrichOutput[]>;
  readonly findings: Findings;
}

export class RulesSection {
  readonly rules: Rule[] = [];
  /** Of enrich rules, for their order: what each reads by match and action, and where it stands. */
  readonly reads = new Map<string, readonly Read[]>();
  readonly places = new Map<string, Place>();
  readonly #context: RulesContext;
  readonly #names = new Set<string>();
  readonly #actions: ActionReader;
  readonly #secrecy: Secrecy;
  readonly #callSets = new Map<string, ReadonlySet<CallKind>>();
  /** By their JSON. */
  readonly #values = new Map<string, object>();
  readonly #outs = new Map<string, Outputs>();
  /** Rules that refuse and read the body behind a guard. */
  readonly #bodies: { readonly name: string; readonly place: Place }[] = [];
  #refusesPartial = false;
  readonly #groups = new Set<string>();
  readonly #waits: { readonly group: string; readonly place: Place }[] = [];
  readonly #counters = new Map<
    string,
    { readonly perMs: number; readonly zone: string; readonly algorithm: string; readonly name: string }
  >();

  constructor(context: RulesContext) {
    this.#context = context;
    this.#secrecy = new Secrecy(
      () => context.attributes,
      (name) => context.carriage.readsOf(name),
    );
    this.#actions = new ActionReader(
      context.attributes,
      context.handlers,
      new ChangesReader(context.attributes, context.findings, this.#secrecy),
      context.findings,
      this.#secrecy,
    );
  }

  async read({ node, later }: RuleList, slice: TimeSlice): Promise<void> {
    await this.#items(listOfNodes(node, 'rules', this.#context.findings)?.items ?? [], slice);
    for (const part of later) await this.#items(part.items(), slice);
  }

  async #items(items: readonly Node[], slice: TimeSlice): Promise<void> {
    for (const item of items) {
      const fields = fieldsOf(item, 'a rule', this.#context.findings)?.only(KEYS);
      if (fields !== undefined) this.#rule(fields);
      if (slice.isOver) await slice.next();
    }
  }

  /** After all documents: groups may be named before they are filled. */
  end(): void {
    if (!this.#refusesPartial)
      for (const { name, place } of this.#bodies)
        this.#context.findings.warn(
          'RULES_PARTIAL_BODY',
          place,
          `${name} reads the body behind a guard, so it does not apply where Envoy sends no body, or only its beginning; add a rule with match: request.body_is_partial, deny: { status: 413 }, or read the body without the guard`,
        );
    for (const { group, place } of this.#waits) {
      if (this.#groups.has(group)) continue;
      const what = group === '' ? 'true' : group;
      this.#context.findings.error(
        'RULES_UNKNOWN_GROUP',
        place,
        `nothing allows the group ${what}${meant(group, this.#groups)}; add a rule with allow: ${what}`,
      );
    }
  }

  #rule(fields: Fields): void {
    const { findings, attributes } = this.#context;
    const nameEntry = fields.entry('name');
    fields.required('name', 'what verdicts, logs and metrics call it, such as no-path-tricks');
    const name = fields.text('name') ?? '';
    if (name !== '' && nameEntry !== undefined) {
      checkName(name, nameEntry.value.place, 'a rule', findings);
      if (this.#names.has(name))
        findings.error('RULES_DUPLICATE', nameEntry.value.place, `a rule named ${name} is there already; rename one`);
      this.#names.add(name);
    }
    const kinds = ACTION_KINDS.filter((kind) => fields.has(kind));
    if (kinds.length > 1)
      findings.error(
        'RULES_ACTIONS',
        fields.entry(kinds[1] ?? '')?.keyPlace ?? fields.place,
        `a rule has one action, this has ${kinds.join(' and ')}; make a rule of each`,
      );
    const [kind] = kinds;
    const matchNode = fields.node('match');
    const match =
      matchNode === undefined
        ? undefined
        : expressionOf(matchNode, 'match', attributes, findings, {
            expect: BOOL,
            isQuota: kind === 'quota',
            withGuards: true,
          });
    const actionNode = kind === undefined ? undefined : fields.node(kind);
    const read =
      kind === undefined || actionNode === undefined
        ? undefined
        : this.#actions.read(kind, actionNode, name, this.#context.enrichOutputs, match?.proves);
    this.#misplaced(fields, kind);
    const out = this.#outOf(read);
    const changes = new ChangesReader(
      out.attributes,
      findings,
      this.#secrecy,
      kind === 'check' || kind === 'allow'
        ? this.#secrecy.exposedBy((read?.compiled ?? []).flatMap((one) => one.reads))
        : [],
    );
    const onAllow = fields.has('onAllow') ? changes.onAllow(fields.node('onAllow') ?? fieldsNode(fields)) : undefined;
    const onDenyFields = fields.map('onDeny', 'onDeny')?.only(['status', 'headers', 'body']);
    const onDeny = onDenyFields === undefined ? undefined : changes.denyAnswer(onDenyFields);
    if (kind === undefined && !fields.has('onAllow'))
      findings.error(
        'RULES_NO_EFFECT',
        fields.place,
        `the rule ${name} has no action and no onAllow, so it does nothing; write its ${ACTION_KINDS.slice(0, -1).join(', ')} or ${ACTION_KINDS.at(-1)}, or remove it`,
      );

    const compiled = [...(match === undefined ? [] : [match]), ...(read?.compiled ?? [])];
    const reads = compiled.flatMap((one) => one.reads);
    if (reads.some((one) => one.name === 'request.body_is_partial')) this.#refusesPartial = true;
    if ((kind === 'deny' || kind === 'check') && reads.some((one) => BODY.has(one.name) && one.guarded))
      this.#bodies.push({ name, place: matchNode?.place ?? fields.place });
    if (kind === 'enrich') {
      this.reads.set(name, reads);
      this.places.set(name, fields.place);
    }
    const calls = this.#calls(fields, kind, reads, onAllow);
    const action =
      read?.action.kind === 'quota' ? { ...read.action, descriptorKeys: descriptorKeys(reads) } : read?.action;
    if (action?.kind === 'allow') this.#groups.add(action.group);
    if (action?.kind === 'deny' && action.unlessAllowed !== undefined) {
      this.#waits.push({
        group: action.unlessAllowed,
        place:
          (actionNode?.kind === 'map' ? actionNode.entries.get('unlessAllowed')?.value.place : undefined) ??
          fields.place,
      });
      if (calls.has('http') && !calls.has('tcp'))
        findings.warn(
          'RULES_TCP_OPEN',
          fields.place,
          `${name} closes http calls and leaves tcp calls open; add a rule that closes tcp, or calls: [http] where tcp is not used`,
        );
    }
    if (action?.kind === 'quota' && actionNode !== undefined) {
      this.#counter(name, action, actionNode);
      this.#once(action, actionNode);
    }
    const onError = this.#shared(
      onErrorOf(fields.node('onError'), kind, action?.kind === 'allow' && action.ask !== undefined, findings),
    );
    if (onError.local && action?.kind === 'quota') this.#local(action, fields.node('onError')?.place ?? fields.place);
    this.rules.push({
      index: this.rules.length,
      name,
      description: fields.text('description'),
      position: fields.place.source.positionAt(fields.place.start),
      calls,
      match,
      action: isPlainDeny(action) ? this.#shared(action) : action,
      onAllow,
      onDeny,
      onError,
      mode: this.#mode(fields, kind),
      sample: this.#sample(fields),
      out: out.out,
    });
  }

  #misplaced(fields: Fields, kind: ActionKind | undefined): void {
    const { findings } = this.#context;
    const place = (key: string): Parameters<Findings['error']>[1] => fields.entry(key)?.keyPlace ?? fields.place;
    if (fields.has('onDeny') && kind !== 'check' && kind !== 'quota')
      findings.error(
        'RULES_MISPLACED',
        place('onDeny'),
        'onDeny goes with check and quota; a deny has status, headers and body of its own',
      );
    if (fields.has('onAllow') && (kind === 'report' || kind === 'enrich'))
      findings.error(
        'RULES_MISPLACED',
        place('onAllow'),
        `onAllow does not go with ${kind}; write a rule of its own for it`,
      );
    if (fields.has('sample') && kind !== 'report')
      findings.error(
        'RULES_MISPLACED',
        place('sample'),
        'sample goes with report; mode: { percent: ... } is for the others',
      );
  }

  #counter(
    name: string,
    {
      counter,
      handler,
      perMs,
      zone,
      algorithm,
    }: { counter: string; handler: string; perMs: number; zone: string; algorithm: string },
    node: Node,
  ): void {
    const id = `${handler} ${counter}`;
    const known = this.#counters.get(id);
    if (known === undefined) this.#counters.set(id, { perMs, zone, algorithm, name });
    else if (known.perMs !== perMs || known.zone !== zone || known.algorithm !== algorithm)
      this.#context.findings.error(
        'RULES_COUNTER',
        node.place,
        `${name} shares the counter ${counter} with ${known.name}, but not its per, zone and algorithm; make them equal, or name another counter`,
      );
  }

  #once({ once }: QuotaAction, node: Node): void {
    if (once === undefined || !isBareToken(once.reads)) return;
    const place = node.kind === 'map' ? node.entries.get('once')?.value.place : undefined;
    this.#context.findings.warn(
      'RULES_CLIENT_CHOOSES',
      place ?? node.place,
      `a client that sends the same ${once.source} each time is charged once; have the proxy make it, or mix in what the charge is for, such as request.url_path`,
    );
  }

  #local({ handler: name, algorithm }: QuotaAction, place: Place): void {
    const {
      findings,
      handlers: { handlers },
    } = this.#context;
    const own = handlers.get(name);
    if (own === undefined) return;
    const { local } = own.spec;
    if (local === undefined)
      return findings.error(
        'RULES_ON_ERROR',
        place,
        `local counts in another handler while ${name} cannot be asked, and ${name} names none; give it local: { handler: NAME, replicas: N }`,
      );
    const other = handlers.get(local.handler);
    const algorithms = other?.adapter.serves.quota?.algorithms;
    if (algorithms?.includes(algorithm) === false)
      findings.error(
        'RULES_CAPABILITY',
        place,
        `${local.handler} counts in the place of ${name}; it is a ${other?.spec.adapter}, which counts by ${algorithms.join(', ')}, not ${algorithm}`,
      );
  }

  // ------------------------------------------------------------ calls

  #calls(
    fields: Fields,
    kind: ActionKind | undefined,
    reads: readonly Read[],
    onAllow: Changes | undefined,
  ): ReadonlySet<CallKind> {
    const { carriage, findings } = this.#context;
    const row = CALLS_OF[kind ?? 'none'];
    const node = fields.node('calls');
    if (node !== undefined) return this.#callSet(this.#named(node, kind, reads));
    const isOfLimits = [...carriage.through(reads)].some((name) => name.startsWith('ratelimit.'));
    const candidates = CALL_KINDS.filter(
      (call) =>
        row[call] === 'default' &&
        !(kind === 'quota' && call === 'limit' && !isOfLimits) &&
        !(kind === undefined && call === 'tcp' && (onAllow?.metadata.length ?? 0) === 0) &&
        !(kind === undefined && call === 'limit' && !hasResponse(onAllow)),
    );
    const calls = candidates.filter((call) => carriage.missing(reads, call) === undefined);
    if (calls.length === 0 && candidates.length > 0) {
      const missing = [
        ...new Set(candidates.map((call) => `${call} cannot carry ${carriage.missing(reads, call) ?? ''}`)),
      ];
      findings.error(
        'RULES_CALLS',
        fields.place,
        `no call can ask this rule: ${missing.join(', ')}; name the calls that are meant (calls: [...]), or guard the read with has() or [?...]`,
      );
    }
    return this.#callSet(calls);
  }

  #callSet(calls: readonly CallKind[]): ReadonlySet<CallKind> {
    const key = calls.join();
    let set = this.#callSets.get(key);
    if (set === undefined) this.#callSets.set(key, (set = new Set(calls)));
    return set;
  }

  /** The same object for all rules that say the same: of many thousands, each would hold one of its own. */
  #shared<T extends object>(value: T): T {
    const key = JSON.stringify(value);
    const known = this.#values.get(key);
    if (known !== undefined) return known as T;
    this.#values.set(key, value);
    return value;
  }

  #named(node: Node, kind: ActionKind | undefined, reads: readonly Read[]): CallKind[] {
    const { carriage, findings } = this.#context;
    const row = CALLS_OF[kind ?? 'none'];
    return (listOfNodes(node, 'calls', findings)?.items ?? []).flatMap((item) => {
      const call = CALL_KINDS.find((known) => item.kind === 'scalar' && item.value === known);
      if (call === undefined) {
        findings.error('RULES_VALUE', item.place, `calls are ${CALL_KINDS.join(', ')}; here is ${nodeText(item)}`);
        return [];
      }
      if (row[call] === undefined)
        findings.error(
          'RULES_CALLS',
          item.place,
          `a rule with ${kind ?? 'onAllow only'} is not asked in ${call} calls; it can be in ${Object.keys(row).join(', ')}`,
        );
      const missing = carriage.missing(reads, call);
      if (missing !== undefined)
        findings.error(
          'RULES_CALLS',
          item.place,
          `${call} calls cannot carry ${missing}, which the rule reads; leave ${call} out, or guard the read: has(${missing}) && ...`,
        );
      return [call];
    });
  }

  // ------------------------------------------------------------ mode, sample

  #by(fields: Fields): Compiled | undefined {
    const node = fields.node('by');
    return node === undefined ? undefined : expressionOf(node, 'by', this.#context.attributes, this.#context.findings);
  }

  #mode(fields: Fields, kind: ActionKind | undefined): Mode {
    const node = fields.node('mode');
    if (node === undefined || (node.kind === 'scalar' && node.value === 'enforce')) return ENFORCE;
    if (node.kind === 'scalar' && node.value === 'shadow') return SHADOW;
    if (node.kind === 'map') {
      const percent = fields.map('mode', 'mode')?.only(['percent', 'by']);
      percent?.required('percent', 'a number from 0 to 100');
      const share = percent?.number('percent', 0, 100);
      if (percent !== undefined) {
        const by = this.#by(percent);
        const refuses = kind === 'deny' || kind === 'check' || kind === 'quota';
        if (by !== undefined && refuses && share !== undefined && share < 100 && isClientChosen(by.reads)) {
          this.#context.findings.warn(
            'RULES_CLIENT_CHOOSES',
            percent.node('by')?.place ?? node.place,
            `a client may send what it likes as ${by.source}, and so choose to be outside of the ${share} %; use what the proxy makes or checks, such as origin.ip or source.principal`,
          );
        }
        return { kind: 'percent', percent: share ?? 0, by };
      }
    }
    this.#context.findings.error(
      'RULES_VALUE',
      node.place,
      `mode is enforce, shadow, or { percent: 10, by: EXPRESSION }; here is ${nodeText(node)}`,
    );
    return ENFORCE;
  }

  /** `out.reason` and what the handler puts out, after the slots of all attributes: one for all rules with the same outputs. */
  #outOf(read: ReadAction | undefined): Outputs {
    const outputs = Object.entries(read?.output ?? {}).filter(([name]) => name !== 'reason');
    const key = JSON.stringify(outputs);
    let out = this.#outs.get(key);
    if (out === undefined) this.#outs.set(key, (out = outputsOf(outputs, this.#context.attributes)));
    return out;
  }

  #sample(fields: Fields): Rule['sample'] {
    const sample = fields.map('sample', 'sample')?.only(['percent', 'by']);
    if (sample === undefined) return undefined;
    sample.required('percent', 'a number from 0 to 100');
    return { percent: sample.number('percent', 0, 100) ?? 100, by: this.#by(sample) };
  }
}

const ENFORCE: Mode = { kind: 'enforce' };
const SHADOW: Mode = { kind: 'shadow' };

/** Whether it is told whole by its JSON. */
const isPlainDeny = (action: Action | undefined): action is Action & { kind: 'deny' } =>
  action?.kind === 'deny' && action.answer.headers.length === 0 && action.answer.body === undefined;

const BODY: ReadonlySet<string> = new Set(['request.body', 'request.raw_body']);

const hasResponse = (onAllow: Changes | undefined): boolean =>
  onAllow !== undefined &&
  onAllow.response.set.length + onAllow.response.append.length + onAllow.response.remove.length > 0;
const fieldsNode = ({ place }: Fields): Node => ({ kind: 'map', place, entries: new Map() });

const descriptorKeys = (reads: readonly Read[]): readonly string[] => [
  ...new Set(
    reads
      .filter(({ name }) => name === 'ratelimit.descriptor')
      .flatMap(({ keys }) => keys.filter(({ guarded }) => !guarded).map(({ key }) => key)),
  ),
];

/** The attributes with `out.*` among them, and where those stand. */
interface Outputs {
  readonly attributes: Attributes;
  readonly out: Rule['out'];
}

function outputsOf(
  outputs: readonly (readonly [name: string, shape: Shape[string]])[],
  attributes: Attributes,
): Outputs {
  const row = (name: string, type: Type): Attribute => ({
    name: `out.${name}`,
    type,
    meaning: 'What the handler said.',
    source: { kind: 'filled' },
    carriedBy: {},
    always: name === 'reason',
    secret: false,
  });
  return {
    attributes: attributes.extend([
      row('reason', STRING),
      ...outputs.map(([name, shape]) => row(name, TYPE_OF[shape.replace(/\?$/, '') as keyof typeof TYPE_OF])),
    ]),
    out: {
      firstSlot: attributes.size,
      names: ['reason', ...outputs.map(([name]) => name)],
      converts: [outputConvert('string'), ...outputs.map(([, shape]) => outputConvert(shape))],
    },
  };
}
