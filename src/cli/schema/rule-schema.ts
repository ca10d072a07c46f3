/** The JSON Schema of a rule. What differs between kinds of action comes from the table of `src/core/actions.ts`. */
import { RULE_CALLS } from '../../attributes/carrier.ts';
import { CALENDAR } from '../../counting/calendar.ts';
import { ACTION_KINDS, ACTIONS, type RuleKind } from '../../core/actions.ts';
import { KEYS, RANGES, WORDS } from '../../core/rules/keys.ts';
import {
  described,
  duration,
  AMOUNT,
  EXPRESSION,
  FLAG,
  ifHas,
  ifIs,
  listOf,
  mapOf,
  MY_NAME,
  NAME,
  namesTo,
  oneOfWords,
  ref,
  type Schema,
  type SchemaOf,
  TEMPLATE,
  TEXT,
  when,
  wholeNumber,
  without,
} from './json-schema.ts';
import type { PluginSchemas } from './plugin-schemas.ts';

const GROUP: Schema = { anyOf: [{ const: true }, TEXT] };
const TEXTS: Schema = namesTo(TEMPLATE);
const TEXTS_OR_LISTS: Schema = namesTo({ anyOf: [TEMPLATE, listOf(TEMPLATE)] });
const NAMES: Schema = listOf({ type: 'string' });

const HANDLER = described('A handler, by its name under handlers.', TEXT);
const INPUT = described('What the handler is given: names to expressions.', ref('inputs'));

const ANSWER: SchemaOf<'onDeny'> = {
  status: described('The HTTP status of the refusal.', wholeNumber(RANGES.status)),
  headers: described('Headers of the refusal; several values are a list.', TEXTS_OR_LISTS),
  body: described('The body of the refusal: text with ${expressions}.', TEMPLATE),
};

const PERCENTAGE = mapOf(
  'percentage',
  {
    percent: described('The share of the calls.', { type: 'number', minimum: 0, maximum: 100 }),
    by: described('An expression; calls with equal values are all inside the share, or all outside.', EXPRESSION),
  },
  { required: ['percent'] },
);

/** Definitions that rules refer to. */
export const ruleDefs = (plugins: PluginSchemas): Readonly<Record<string, Schema>> => ({
  inputs: namesTo({ anyOf: [EXPRESSION, ref('inputs')] }),
  deny: mapOf('deny', {
    ...ANSWER,
    unlessAllowed: described(
      'Refuse only calls that no allow rule of this group lets in; true is a group, too.',
      GROUP,
    ),
  }),
  allow: {
    anyOf: [
      GROUP,
      mapOf('allow', {
        group: described('The group of deny rules with unlessAllowed; default true.', GROUP),
        handler: HANDLER,
        params: described('Constants for the handler.', plugins.params('check')),
        input: INPUT,
      }),
    ],
  },
  check: askOf('check', plugins),
  report: askOf('report', plugins),
  enrich: mapOf(
    'enrich',
    {
      handler: HANDLER,
      params: described('Constants for the handler.', plugins.params('enrich')),
      input: INPUT,
      as: described('The outputs become attributes under this name.', { type: 'string', pattern: MY_NAME }),
    },
    { required: ['handler', 'as'] },
  ),
  quota: quotaOf(plugins),
  onAllow: mapOf('onAllow', {
    request: described('Changes to the headers of the request.', ref('headerChanges')),
    response: described('Changes to the headers of the response.', ref('headerChanges')),
    query: described(
      'Changes to the query of the request.',
      mapOf('queryChanges', {
        set: described('Parameters that are set.', TEXTS),
        remove: described('Parameters that are removed.', NAMES),
      }),
    ),
    metadata: described('Dynamic metadata for the proxy.', TEXTS),
  }),
  headerChanges: mapOf('headerChanges', {
    set: described('Headers that are set.', TEXTS),
    append: described('Headers that are added to those with the same name.', TEXTS_OR_LISTS),
    remove: described('Headers that are removed.', NAMES),
  }),
  rule: RULE,
});

const askOf = (kind: 'check' | 'report', plugins: PluginSchemas): Schema =>
  mapOf(
    kind,
    { handler: HANDLER, params: described('Constants for the handler.', plugins.params(kind)), input: INPUT },
    { required: ['handler'] },
  );

const quotaOf = (plugins: PluginSchemas): Schema =>
  mapOf(
    'quota',
    {
      handler: HANDLER,
      key: described(
        'Expressions; each distinct value has a count of its own, [] is one count for all.',
        listOf(EXPRESSION),
      ),
      limit: described('The units of a period: a number, or an expression.', AMOUNT),
      per: described('The period: a duration such as 1m, or a calendar period.', {
        anyOf: [duration(['s', 'm', 'h', 'd', 'ms']), oneOfWords(CALENDAR)],
      }),
      cost: described('The units of a call; default 1.', AMOUNT),
      algorithm: described('How the counter counts; default fixed.', oneOfWords(WORDS.algorithm)),
      burst: described('For gcra: units at once.', AMOUNT),
      counter: described("The counter's name; rules with the same one share it. Default: the rule's name.", TEXT),
      once: described('An expression that identifies the request; a repeat is not charged again.', EXPRESSION),
      override: described('Whether a rate limit call may bring its own limit; default true.', FLAG),
      params: described('Constants for the handler.', plugins.params('quota')),
      partial: described('Grant what is left if it is less than the cost.', FLAG),
      policy: described("The limit's name for clients (RateLimit-Policy).", {
        type: 'string',
        pattern: '^[\\x20-\\x7e]+$',
      }),
      zone: described('The time zone of a calendar period, such as Europe/Amsterdam; default UTC.', TEXT),
    },
    {
      required: ['handler', 'per', 'limit', 'key'],
      allOf: [
        ifHas('zone', { properties: { per: { enum: CALENDAR } } }),
        ifHas('burst', { required: ['algorithm'], properties: { algorithm: { const: 'gcra' } } }),
        ifIs('algorithm', 'concurrency', { required: ['once'] }),
        ifIs('partial', true, without(['once'])),
        when({ properties: { per: { enum: CALENDAR } } }, { properties: { algorithm: { const: 'fixed' } } }),
      ],
    },
  );

/** What holds for a rule by its action: the calls that ask it, and the parts and errors that it has. */
function restrictionsOf(kind: RuleKind): Schema {
  const { calls, takes, onError } = ACTIONS[kind];
  const parts = KEYS.onError.filter((part) => onError[part].words.length > 0);
  const words = new Set(parts.flatMap((part) => onError[part].words));
  const onErrorSchema =
    parts.length === 0
      ? false
      : {
          anyOf: [
            { enum: [...words] },
            {
              type: 'object',
              properties: Object.fromEntries(parts.map((part) => [part, { enum: onError[part].words }])),
              additionalProperties: false,
            },
          ],
        };
  const misplaced = (['onAllow', 'onDeny', 'sample'] as const).filter((part) => !takes.includes(part));
  return {
    properties: {
      calls: { items: { enum: Object.keys(calls) } },
      onError: onErrorSchema,
      ...(without([...misplaced, ...ACTION_KINDS.filter((other) => other !== kind)])['properties'] as Schema),
    },
  };
}

const RULE: Schema = mapOf(
  'rule',
  {
    name: described('In verdicts, logs and metrics; unique.', NAME),
    description: described('Free text.', TEXT),
    match: described('An expression of type bool; without it the rule always applies.', EXPRESSION),
    calls: described('The kinds of calls that ask the rule.', listOf(oneOfWords(RULE_CALLS))),
    deny: described('Refuses the call.', ref('deny')),
    allow: described('Lets calls in past a deny with unlessAllowed.', ref('allow')),
    check: described('Asks a handler, which allows or denies.', ref('check')),
    quota: described('Charges a counter.', ref('quota')),
    report: described("Writes a record to a handler, off the call's path.", ref('report')),
    enrich: described('Asks a handler for facts, which become attributes.', ref('enrich')),
    onAllow: described('Changes to calls that the rule allows.', ref('onAllow')),
    onDeny: described('The answer to calls that a check or quota refuses.', mapOf('onDeny', ANSWER)),
    onError: described('The result of a failure: of the match and the input, or of the handler.', {}),
    mode: described('enforce, shadow, or a share of the calls.', {
      anyOf: [oneOfWords(['enforce', 'shadow']), PERCENTAGE],
    }),
    sample: described('The share of the calls that are reported.', PERCENTAGE),
  },
  {
    required: ['name'],
    allOf: [
      ...ACTION_KINDS.map((kind) => ifHas(kind, restrictionsOf(kind))),
      when(
        { not: { anyOf: ACTION_KINDS.map((kind) => ({ required: [kind] })) } },
        { required: ['onAllow'], ...restrictionsOf('none') },
      ),
      when(
        { required: ['allow'], properties: { allow: { not: { type: 'object', required: ['handler'] } } } },
        without(['onError']),
      ),
    ],
  },
);
