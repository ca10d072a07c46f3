/**
 * `rules:` of a policy.
 * **In**: the lists of all documents, attributes and handlers. **Out**: rules, compiled, in order. **Fails**: with findings.
 */
import type { Attributes } from '../../../attributes/attributes.ts';
import type { RuleCall } from '../../../attributes/carrier.ts';
import { BOOL } from '../../../attributes/types.ts';
import type { Read } from '../../../expression/index.ts';
import type { TimeSlice } from '../../../time/time-slice.ts';
import { ACTION_KINDS, ACTIONS, type ActionKind } from '../../actions.ts';
import { AcrossRules } from './across-rules.ts';
import { ActionReader } from '../actions/action-reader.ts';
import { CallSets } from './call-sets.ts';
import type { Carriage } from '../carriage.ts';
import { ChangesReader } from '../actions/changes.ts';
import { expressionOf } from '../expressions.ts';
import { type Fields, checkName, fieldsOf, listOfNodes } from '../../../yaml/fields.ts';
import { HandlerUses } from '../actions/handler-uses.ts';
import type { HandlersSection } from './handlers-section.ts';
import { modeOf, sampleOf } from './mode.ts';
import { onErrorOf } from './on-error.ts';
import { OutputSets } from '../actions/outputs.ts';
import type { ReadAction } from '../actions/read-action.ts';
import { type Action, addedBy, type Changes, type DenyAnswer, type EnrichOutput, type Rule, textsOf } from '../rule.ts';
import { MAX_HEADERS } from '../../text-bounds.ts';
import { ANY_ATTRIBUTE, presentInDenial } from './present.ts';
import { Secrecy } from '../actions/secrecy.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { FOREIGN_KEYS, KEYS } from '../keys.ts';
import { declaredAt, type LaterItems, type Node, type Place } from '../../../yaml/nodes.ts';

/** `rules:` of one document. */
export interface RuleList {
  readonly node: Node;
  /** The remaining items, after those of the node. */
  readonly later: readonly LaterItems[];
  /** Names are those of the peer's documents, and may have any characters. */
  readonly isImported?: boolean;
}

export interface RulesContext {
  readonly attributes: Attributes;
  readonly handlers: HandlersSection;
  readonly carriage: Carriage;
  readonly enrichOutputs: ReadonlyMap<string, readonly EnrichOutput[]>;
  readonly findings: Findings;
}

/** For a rule without an action: the action would decide which calls may ask it. */
const NO_CALLS: ReadonlySet<RuleCall> = new Set();

export class RulesSection {
  readonly rules: Rule[] = [];
  /** Some text of a rule reads `verdict.id`, which no wire of a check carries. */
  sendsVerdictId = false;
  /** For ordering enrich rules: the reads of match and action, and the rule's place. */
  readonly reads = new Map<string, readonly Read[]>();
  readonly places = new Map<string, Place>();
  readonly #context: RulesContext;
  /** The place of the first rule of each name. */
  readonly #names = new Map<string, Place>();
  readonly #actions: ActionReader;
  readonly #secrecy: Secrecy;
  readonly #calls: CallSets;
  readonly #outputs: OutputSets;
  readonly #across: AcrossRules;
  /** By their JSON: one object for all rules with equal values, since thousands of rules would each hold one. */
  readonly #values = new Map<string, object>();

  constructor(context: RulesContext) {
    const { attributes, handlers, carriage, findings } = context;
    this.#context = context;
    this.#secrecy = new Secrecy(
      () => attributes,
      (name) => carriage.readsOf(name),
    );
    this.#actions = new ActionReader({
      attributes,
      handlers: new HandlerUses(handlers, findings, attributes),
      changes: new ChangesReader(attributes, findings, this.#secrecy),
      findings,
      secrecy: this.#secrecy,
    });
    this.#calls = new CallSets(carriage, findings);
    this.#outputs = new OutputSets(attributes);
    this.#across = new AcrossRules(handlers, findings);
  }

  async read({ node, later, isImported = false }: RuleList, slice: TimeSlice): Promise<void> {
    await this.#items(listOfNodes(node, 'rules', this.#context.findings)?.items ?? [], isImported, slice);
    for (const part of later) await this.#items(part.items(), isImported, slice);
  }

  async #items(items: readonly Node[], isImported: boolean, slice: TimeSlice): Promise<void> {
    for (const item of items) {
      const fields = fieldsOf(item, 'a rule', this.#context.findings)?.only(KEYS.rule, FOREIGN_KEYS.rule);
      if (fields !== undefined) this.#rule(fields, isImported);
      if (slice.isOver) await slice.next();
    }
  }

  /** After all documents. */
  async end(slice: TimeSlice): Promise<void> {
    await this.#across.end(slice);
  }

  #rule(fields: Fields, isImported: boolean): void {
    const { findings, attributes, enrichOutputs } = this.#context;
    const name = this.#name(fields, isImported);
    const actionKind = this.#kind(fields);
    const kind = actionKind ?? 'none';
    const matchNode = fields.node('match');
    const match =
      matchNode === undefined
        ? undefined
        : expressionOf(matchNode, 'match', attributes, findings, {
            expect: BOOL,
            isQuota: kind === 'quota',
            withGuards: true,
          });
    const hasNoMatch = matchNode === undefined && !fields.mayMisspell('match');
    const proves = match === undefined && !hasNoMatch ? ANY_ATTRIBUTE : match?.proves;
    const actionNode = actionKind === undefined ? undefined : fields.node(actionKind);
    const read =
      actionKind === undefined || actionNode === undefined
        ? undefined
        : this.#actions.read(actionKind, actionNode, name, enrichOutputs, proves);
    const lacksAction = actionKind === undefined && (fields.has('onDeny') || fields.mayMisspell(...ACTION_KINDS));
    const hasEffect = actionKind !== undefined || (fields.has('onAllow') && !lacksAction);
    if (hasEffect) this.#checkPlaced(fields, actionKind);
    const { onAllow, onDeny, out } = this.#answers(fields, actionKind, read, proves);
    // Its outputs are not known either.
    if (!hasEffect) findings.undeclared.add('my');
    if (!hasEffect && !fields.mayMisspell(...ACTION_KINDS, 'onAllow'))
      findings.error(
        'RULES_NO_EFFECT',
        fields.place,
        fields.has('onDeny')
          ? `the rule ${name} has onDeny and no action that it answers for; add check or quota`
          : `the rule ${name} has neither an action nor onAllow; ` +
              `add ${ACTION_KINDS.slice(0, -1).join(', ')} or ${ACTION_KINDS.at(-1)}, or remove the rule`,
      );
    const reads = [...(match === undefined ? [] : [match]), ...(read?.compiled ?? [])].flatMap((one) => one.reads);
    if (kind === 'enrich') {
      this.reads.set(name, reads);
      this.places.set(name, fields.place);
    }
    const action = this.#actionOf(read, reads);
    const rule: Rule = {
      index: this.rules.length,
      name,
      description: fields.text('description'),
      position: fields.place.source.positionAt(fields.place.start),
      calls: hasEffect ? this.#calls.of(fields, kind, reads, onAllow) : NO_CALLS,
      match,
      action,
      onAllow,
      onDeny,
      onError: this.#shared(
        onErrorOf(
          hasEffect ? fields.node('onError') : undefined,
          kind,
          kind !== 'allow' || action?.handler !== undefined,
          findings,
        ),
      ),
      mode: modeOf(fields, kind, attributes, findings),
      sample: sampleOf(fields, attributes, findings),
      out,
    };
    this.#across.add(rule, reads, {
      rule: fields.place,
      match: matchNode?.place,
      action: actionNode,
      calls: fields.node('calls')?.place,
      onError: fields.node('onError')?.place,
    });
    this.rules.push(rule);
    const sent = textsOf(rule).flatMap((text) => text.reads);
    if (sent.length > 0) this.sendsVerdictId ||= this.#context.carriage.through(sent).has('verdict.id');
  }

  #name(fields: Fields, isImported: boolean): string {
    const { findings } = this.#context;
    const entry = fields.entry('name');
    fields.required('name', 'its name in verdicts, logs and metrics, such as no-path-tricks');
    const name = fields.text('name') ?? '';
    if (name === '' || entry === undefined) return name;
    if (!isImported) checkName(name, entry.value.place, 'a rule', findings);
    const first = this.#names.get(name);
    if (first === undefined) this.#names.set(name, fields.place);
    else findings.error('RULES_DUPLICATE', entry.value.place, `the rule ${name} is ${declaredAt(first)}; rename one`);
    return name;
  }

  #kind(fields: Fields): ActionKind | undefined {
    const [kind, second, ...others] = ACTION_KINDS.filter((one) => fields.has(one));
    if (second !== undefined)
      this.#context.findings.error(
        'RULES_ACTIONS',
        fields.entry(second)?.keyPlace ?? fields.place,
        `a rule has one action, and this one has ${[kind, second, ...others].join(' and ')}; write one rule per action`,
      );
    return kind;
  }

  #checkPlaced(fields: Fields, kind: ActionKind | undefined): void {
    const { findings } = this.#context;
    const { takes } = ACTIONS[kind ?? 'none'];
    const place = (key: string): Place => fields.entry(key)?.keyPlace ?? fields.place;
    if (fields.has('onDeny') && !takes.includes('onDeny'))
      findings.error(
        'RULES_MISPLACED',
        place('onDeny'),
        'onDeny is for check and quota; a deny has its own status, headers and body',
      );
    if (fields.has('onAllow') && !takes.includes('onAllow'))
      findings.error('RULES_MISPLACED', place('onAllow'), `onAllow is not for ${kind}; write a separate rule for it`);
    if (fields.has('sample') && !takes.includes('sample'))
      findings.error(
        'RULES_MISPLACED',
        place('sample'),
        'sample is for report; other rules have mode: { percent: ... }',
      );
  }

  /** The rule's changes to allowed calls, and its answer to refused ones. */
  #answers(
    fields: Fields,
    kind: ActionKind | undefined,
    read: ReadAction | undefined,
    present: ReadonlySet<string> | undefined,
  ): { readonly onAllow: Changes | undefined; readonly onDeny: DenyAnswer | undefined; readonly out: Rule['out'] } {
    const { attributes, out } = this.#outputs.of(read?.output ?? {});
    const handed =
      kind === 'check' || kind === 'allow'
        ? this.#secrecy.exposedBy((read?.compiled ?? []).flatMap((one) => one.reads))
        : [];
    const changes = new ChangesReader(attributes, this.#context.findings, this.#secrecy, handed);
    const onAllowNode = fields.node('onAllow');
    const onDenyFields = fields.map('onDeny', 'onDeny')?.only(KEYS.onDeny, FOREIGN_KEYS.answer);
    // What an action with an error would give is not known.
    if (read === undefined && (kind !== undefined || fields.has('onDeny') || fields.mayMisspell(...ACTION_KINDS)))
      this.#context.findings.undeclared.add('out');
    const answer =
      onDenyFields === undefined
        ? read?.answer
        : changes.denyAnswer(onDenyFields, presentInDenial(kind, read, present));
    const onAllow = onAllowNode === undefined ? undefined : changes.onAllow(onAllowNode, present);
    this.#context.findings.undeclared.delete('out');
    this.#checkCount('onAllow', fields, onAllow === undefined ? 0 : addedBy(onAllow));
    this.#checkCount(fields.has('onDeny') ? 'onDeny' : 'deny', fields, answer?.headers.length ?? 0);
    const isPlain = answer !== undefined && answer.headers.length === 0 && answer.body === undefined;
    return {
      onAllow,
      onDeny: isPlain ? this.#shared(answer) : answer,
      out,
    };
  }

  #checkCount(what: string, fields: Fields, added: number): void {
    if (added <= MAX_HEADERS) return;
    const place = fields.entry(what)?.keyPlace ?? fields.place;
    const found = what === 'onAllow' ? 'headers, query parameters and metadata' : 'headers';
    this.#context.findings.error(
      'RULES_MANY_HEADERS',
      place,
      `${what} adds ${added} ${found}; one answer has at most ${MAX_HEADERS}, so remove ${added - MAX_HEADERS}`,
    );
  }

  #actionOf(read: ReadAction | undefined, reads: readonly Read[]): Action | undefined {
    const action = read?.action;
    if (action?.kind === 'quota') return { ...action, descriptorKeys: descriptorKeys(reads) };
    return action?.kind === 'deny' ? this.#shared(action) : action;
  }

  #shared<T extends object>(value: T): T {
    const key = JSON.stringify(value);
    const known = this.#values.get(key);
    if (known !== undefined) return known as T;
    this.#values.set(key, value);
    return value;
  }
}

const descriptorKeys = (reads: readonly Read[]): readonly string[] => [
  ...new Set(
    reads
      .filter(({ name }) => name === 'ratelimit.descriptor')
      .flatMap(({ keys }) => keys.filter(({ guarded }) => !guarded).map(({ key }) => key)),
  ),
];
