/** Why a decision came out as it did. */
import type { ComponentChildren, JSX } from 'preact';
import type { Decision, KeptDecision, QuotaInspection, Why, WhyAnswer, WhyRule } from '../api.ts';
import { withFilter } from '../filters.ts';
import { count, dateAndTime, duration } from '../format.ts';
import { Panel, Section } from '../parts/panel.tsx';
import { Loading, Note } from '../parts/states.tsx';
import { Badge, Text, type Tone, ValueList } from '../parts/text.tsx';
import { linkTo, setQuery } from '../route.ts';
import { useResource } from '../server.ts';
import { shortPlace } from './rules.tsx';

/** A decision does not change; the entry of the access log may come later. */
const EVERY_MS = 5000;
const MAX_LINK = 60;
/** Rules without effect that are listed. */
const MAX_LISTED = 200;

export function WhyPanel({ id, row }: { readonly id: string; readonly row: Decision | undefined }): JSX.Element {
  const { answer } = useResource<Why>(`/verdicts/why?id=${encodeURIComponent(id)}`, EVERY_MS);
  const decision = answer.state === 'ready' ? answer.data.verdict : row;
  return (
    <Panel
      label="Why"
      title={decision === undefined ? 'Why' : <Headline of={decision} />}
      onClose={() => setQuery({ id: '' })}
    >
      {decision !== undefined && <Request of={decision} />}
      {answer.state === 'loading' && <Loading />}
      {answer.state === 'ready' && <Reasons why={answer.data} />}
      {(answer.state === 'missing' || answer.state === 'failed') && (
        <Note title="Nothing more was kept of this decision">
          <p>
            <Text value={answer.why} isBlock />
          </p>
          <p>Denials and failures are kept with their reasons, of allowed calls a sample.</p>
        </Note>
      )}
    </Panel>
  );
}

function Headline({ of: { outcome, method, path, call } }: { readonly of: Decision }): JSX.Element {
  return (
    <>
      <Badge tone={outcome}>{outcome}</Badge> <Text value={`${method ?? call} ${path ?? ''}`} isBlock />
    </>
  );
}

function Request({ of }: { readonly of: Decision }): JSX.Element {
  const { id, time, host, path, client, principal, requestId, status, tookMs, rule, shadow } = of;
  const filter = (name: 'rule' | 'host' | 'principal', value: string | null): ComponentChildren =>
    value === null ? null : (
      <a href={linkTo('decisions', { q: withFilter('', { [name]: value }), id })}>
        <Text value={`${name}:${value.slice(0, MAX_LINK)}`} isBlock />
      </a>
    );
  return (
    <>
      <ValueList
        values={{
          time: dateAndTime(time),
          host,
          path,
          client,
          principal,
          ...(status === undefined || status === null ? {} : { status: String(status) }),
          ...(tookMs === undefined || tookMs === null ? {} : { took: duration(tookMs) }),
          ...(shadow.length === 0 ? {} : { 'would have denied': shadow.join(', ') }),
          'x-request-id': requestId,
          id,
        }}
      />
      <p class="actions small">
        <a class="button" href={linkTo('playground', { id })}>
          Open in the playground
        </a>
        {filter('rule', rule)}
        {filter('host', host)}
        {filter('principal', principal)}
      </p>
    </>
  );
}

function Reasons({ why: { verdict, rules, omitted, answers, entry, limits } }: { readonly why: Why }): JSX.Element {
  const taking = rules.filter(({ result, decided }) => decided || result !== 'does not apply');
  const others = rules.filter((rule) => !taking.includes(rule));
  return (
    <>
      {verdict.reasons.length > 0 && (
        <Section title="In short">
          <ul class="reasons">
            {verdict.reasons.map(({ rule, text }) => (
              <li>
                <Text value={`${rule}: ${text}`} isBlock />
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title="Rules, in order">
        {taking.length === 0 && (
          <p class="muted">
            {rules.length === 0 ? 'The policy that decided was replaced; its rules are gone.' : 'No rule applied.'}
          </p>
        )}
        <ol class="chain">
          {taking.map((rule) => (
            <RuleStep key={rule.name} rule={rule} />
          ))}
        </ol>
        {others.length > 0 && <Others rules={others} />}
        {omitted > 0 && (
          <p class="muted small">
            {count(omitted)} more need not be evaluated: the index of rules excludes them by host, path or another
            value.
          </p>
        )}
      </Section>
      {answers.length > 0 && (
        <Section title="Answers of handlers">
          <ul class="answers">
            {answers.map((one) => (
              <Answer key={`${one.rule} ${one.handler}`} answer={one} />
            ))}
          </ul>
        </Section>
      )}
      {limits.length > 0 && (
        <Section title="Limits">
          <ul class="answers">
            {limits.map((one) => (
              <Limit key={one.rule} of={one} />
            ))}
          </ul>
        </Section>
      )}
      <KeptValues verdict={verdict} />
      <Section title="Access log entry">
        {entry === null ? (
          <p class="muted">
            None has arrived for this request. Envoy sends it when the request has ended, if the access log is set up.
          </p>
        ) : (
          <ValueList values={entry} />
        )}
      </Section>
    </>
  );
}

const TONES: Readonly<Record<WhyRule['result'], Tone>> = {
  applies: 'plain',
  'does not apply': 'waiting',
  failed: 'failed',
};

function RuleStep({ rule }: { readonly rule: WhyRule }): JSX.Element {
  const { name, at, action, mode, match, result, why, values, decided } = rule;
  return (
    <li class={decided ? 'decided' : undefined}>
      <p class="line">
        <Text value={name} isBlock class="strong" />
        {decided && <Badge tone="deny">decided</Badge>}
        {mode !== 'enforce' && <Badge tone="shadow">{mode}</Badge>}
        <Badge tone={TONES[result]}>{result}</Badge>
      </p>
      <p class="muted small line">
        <span>{action}</span>
        <Text value={shortPlace(at)} class="mono" />
      </p>
      {match === true ? (
        <p class="muted small">It has no match, and applies to every call.</p>
      ) : (
        <Match source={match} why={why} />
      )}
      <ValueList values={values} />
    </li>
  );
}

/** `PART`, or `PART: FAILURE`; an expression may hold a colon. */
function split(source: string, why: string): { readonly part: string; readonly failure: string } {
  for (let end = why.length; end > 0; end = why.lastIndexOf(': ', end - 1))
    if (source.includes(why.slice(0, end))) return { part: why.slice(0, end), failure: why.slice(end + 2) };
  return { part: '', failure: why };
}

/** The part that decided is marked in the source; what failed in it stands below. */
function Match({ source, why }: { readonly source: string; readonly why: string | null }): JSX.Element {
  const { part, failure } = split(source, why ?? '');
  const at = part === '' ? -1 : source.indexOf(part);
  return (
    <>
      <pre class="code" tabIndex={0}>
        {at < 0 ? (
          <Text value={source} isBlock />
        ) : (
          <>
            <Text value={source.slice(0, at)} isBlock />
            <mark title="The part that decided">
              <Text value={part} isBlock />
            </mark>
            <Text value={source.slice(at + part.length)} isBlock />
          </>
        )}
      </pre>
      {failure !== '' && (
        <p class="small">
          <Text value={failure} isBlock />
        </p>
      )}
    </>
  );
}

function Others({ rules }: { readonly rules: readonly WhyRule[] }): JSX.Element {
  return (
    <details>
      <summary>
        {count(rules.length)} {rules.length === 1 ? 'rule does' : 'rules do'} not apply
      </summary>
      <ol class="chain quiet">
        {rules.slice(0, MAX_LISTED).map(({ name, why, match }) => (
          <li key={name}>
            <Text value={name} isBlock />
            <p class="mono muted small">
              <Text value={why ?? (match === true ? '' : match)} isBlock />
            </p>
          </li>
        ))}
      </ol>
      {rules.length > MAX_LISTED && <p class="muted">and {count(rules.length - MAX_LISTED)} more</p>}
    </details>
  );
}

const SAYS: Readonly<Record<string, Tone>> = {
  allow: 'allow',
  granted: 'allow',
  values: 'allow',
  deny: 'deny',
  over: 'deny',
  failed: 'failed',
};

function Answer({ answer: { rule, handler, says, reason, tookMs } }: { readonly answer: WhyAnswer }): JSX.Element {
  const tone = SAYS[says] ?? 'waiting';
  return (
    <li>
      <p class="line">
        <Text value={handler} isBlock class="strong" />
        <Badge tone={tone}>{says}</Badge>
        <span class="muted">{tookMs === null ? 'at once' : duration(tookMs)}</span>
      </p>
      <p class="muted small">
        asked by <Text value={rule} isBlock />
      </p>
      {reason !== null && <Text value={reason} isBlock />}
    </li>
  );
}

function Limit({
  of: { rule, applies, why, key, limit, state, failure },
}: {
  readonly of: QuotaInspection;
}): JSX.Element {
  return (
    <li>
      <p class="line">
        <Text value={rule} isBlock class="strong" />
        {state !== undefined && (
          <span class="muted">
            {count(state.remaining)} of {count(limit ?? 0)} left, new in {duration(state.resetMs)}
          </span>
        )}
      </p>
      <p class="muted small">
        <Text
          value={failure ?? (applies ? key.map(({ source, value }) => `${source} = ${String(value)}`).join(', ') : why)}
          isBlock
        />
      </p>
    </li>
  );
}

/** Attributes that any match has read. */
function KeptValues({ verdict: { attributes } }: { readonly verdict: KeptDecision }): JSX.Element | null {
  if (Object.keys(attributes).length === 0) return null;
  return (
    <Section title="All values that were read">
      <ValueList values={attributes} />
    </Section>
  );
}
