/** What a policy says to a call, without side effects: the call or the policy is changed, and compared with what it was. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { Explanation, Finding, PlaygroundAnswer, PlaygroundStart } from '../api.ts';
import { caseText, type PlayedCall } from '../case-text.ts';
import { callOfDecision } from '../decision-call.ts';
import { Copyable } from '../parts/copyable.tsx';
import { Findings } from '../parts/findings.tsx';
import { Section } from '../parts/panel.tsx';
import { Note } from '../parts/states.tsx';
import { Badge, Text, ValueList } from '../parts/text.tsx';
import { linkTo, route } from '../route.ts';
import { ask, HttpError, messageOf, post } from '../server.ts';

const EXAMPLE: PlayedCall = {
  call: 'http',
  attributes: {
    'request.method': 'GET',
    'request.host': 'shop.example',
    'request.path': '/ratings/7',
    'source.ip': '203.0.113.9',
  },
};

interface Played {
  readonly request: PlayedCall;
  readonly was: Explanation | undefined;
  readonly is: Explanation | undefined;
  readonly findings: readonly Finding[];
}

export function Playground(): JSX.Element {
  const { id } = route.value.query;
  const original = useSignal<PlayedCall>(EXAMPLE);
  const request = useSignal(JSON.stringify(EXAMPLE, null, 2));
  const policy = useSignal('');
  /** The policy in force, and why it is not shown. */
  const start = useSignal<PlaygroundStart | undefined>(undefined);
  const played = useSignal<Played | undefined>(undefined);
  const problem = useSignal('');
  const isMissing = useSignal(false);
  const isRunning = useSignal(false);

  const run = async (): Promise<void> => {
    isRunning.value = true;
    problem.value = '';
    try {
      const changed = JSON.parse(request.value) as PlayedCall;
      const body = id === undefined ? {} : { id };
      const was = await post<PlaygroundAnswer>('/playground', { ...body, policy: null, request: original.value });
      const is = await post<PlaygroundAnswer>('/playground', {
        ...body,
        policy: policy.value.trim() === '' || policy.value === start.value?.policy ? null : policy.value,
        request: changed,
      });
      played.value = {
        request: changed,
        was: was.explanation ?? undefined,
        is: is.explanation ?? undefined,
        findings: is.findings,
      };
    } catch (error) {
      if (error instanceof HttpError && error.status === 404 && error.message === 'no such page')
        isMissing.value = true;
      problem.value = error instanceof SyntaxError ? `The request is not JSON: ${error.message}` : messageOf(error);
    }
    isRunning.value = false;
  };

  useEffect(() => {
    void (async () => {
      try {
        const begun = await ask<PlaygroundStart>(
          `/playground${id === undefined ? '' : `?id=${encodeURIComponent(id)}`}`,
        );
        start.value = begun;
        if (policy.value === '') policy.value = begun.policy ?? '';
      } catch (error) {
        start.value = { policy: null, why: messageOf(error), request: null };
      }
      if (id === undefined) return;
      try {
        original.value = await callOfDecision(id, start.value.request);
        request.value = JSON.stringify(original.value, null, 2);
        await run();
      } catch (error) {
        problem.value = messageOf(error);
      }
    })();
  }, [id]);

  if (isMissing.value)
    return (
      <Note title="This server has no playground">
        <p>
          <code>POST /playground</code> answered 404. On the command line:{' '}
          <code>sluice explain POLICY --request FILE</code>
        </p>
      </Note>
    );
  return (
    <div class="playground">
      <form
        class="editors"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        {id === undefined ? (
          <p class="muted">
            Take a decision from <a href={linkTo('decisions')}>live decisions</a>, or write a call.
          </p>
        ) : (
          <p class="muted small">
            From the decision <Text value={id} isBlock class="mono" />
            {start.value !== undefined && <RequestHint request={start.value.request} />}
          </p>
        )}
        <label class="field">
          Request
          <textarea
            rows={12}
            spellcheck={false}
            value={request.value}
            onInput={({ currentTarget }) => (request.value = currentTarget.value)}
          />
        </label>
        <label class="field">
          Policy in YAML; empty: the one in force
          <textarea
            rows={start.value?.policy == null ? 10 : 18}
            wrap="off"
            spellcheck={false}
            value={policy.value}
            placeholder={'rules:\n  - name: …\n    match: …\n    deny: { status: 403 }'}
            onInput={({ currentTarget }) => (policy.value = currentTarget.value)}
          />
        </label>
        {start.value !== undefined && <PolicyHint start={start.value} />}
        <p class="actions">
          <button class="primary" disabled={isRunning.value}>
            Run
          </button>
          <span class="muted small">Nothing is charged, written or changed.</span>
        </p>
        {problem.value !== '' && (
          <p class="problem" role="alert">
            <Text value={problem.value} isBlock />
          </p>
        )}
      </form>
      <div class="results" aria-live="polite">
        {played.value === undefined ? (
          <Note title="Run a call to see its verdict" />
        ) : (
          <Results played={played.value} />
        )}
      </div>
    </div>
  );
}

function RequestHint({ request }: Pick<PlaygroundStart, 'request'>): JSX.Element {
  if (request === null)
    return (
      <>
        . Its message is not kept: the request has the attributes that rules read, and a rule that reads others may
        decide otherwise.
      </>
    );
  const { hidden } = request;
  return (
    <>
      , as its proxy sent it, without a body.
      {hidden.length > 0 && (
        <>
          {' '}
          Hidden, so that a rule that reads them may decide otherwise: <Text value={hidden.join(', ')} isBlock />
        </>
      )}
    </>
  );
}

function PolicyHint({ start: { policy, why } }: { readonly start: PlaygroundStart }): JSX.Element {
  return (
    <p class="muted small">
      {policy === null ? (
        <>
          The text of the policy in force is not shown: <Text value={why ?? ''} isBlock />
        </>
      ) : (
        <>This is the policy in force, without its comments. </>
      )}
      Rules may use the handlers in force, whose configs are not shown; a handler written here replaces the one of its
      name.
    </p>
  );
}

function Verdict({ of, title }: { readonly of: Explanation | undefined; readonly title: string }): JSX.Element {
  const verdict = of?.verdict;
  return (
    <div class="verdict">
      <h2>{title}</h2>
      {verdict === undefined ? (
        <p class="muted">{of === undefined ? 'not decided' : 'reported only'}</p>
      ) : (
        <p class="line">
          <Badge tone={verdict.outcome}>{verdict.outcome}</Badge>
          {verdict.rule !== undefined && <Text value={verdict.rule} isBlock class="strong" />}
          {verdict.status !== undefined && <span class="muted">{verdict.status}</span>}
        </p>
      )}
    </div>
  );
}

function Results({ played: { request, was, is, findings } }: { readonly played: Played }): JSX.Element {
  const before = new Map(was?.rules.map(({ rule, match }) => [rule, match]));
  const changed = is?.rules.filter(({ rule, match }) => before.get(rule) !== match) ?? [];
  const after = new Set(is?.rules.map(({ rule }) => rule));
  const gone = was?.rules.filter(({ rule }) => !after.has(rule)) ?? [];
  return (
    <>
      <section class="verdicts">
        <Verdict title="As it was, by the policy in force" of={was} />
        <Verdict title="Now" of={is} />
      </section>
      {findings.length > 0 && (
        <Section isTop title="Findings in the policy">
          <Findings findings={findings} />
        </Section>
      )}
      {is !== undefined && (
        <Section isTop title="What differs">
          {changed.length + gone.length === 0 ? (
            <p class="muted">Every rule matches as before.</p>
          ) : (
            <ol class="chain">
              {changed.map(({ rule, match, why }) => (
                <li key={rule}>
                  <p class="line">
                    <Text value={rule} isBlock class="strong" />
                    <span class="muted">{before.get(rule) ?? 'a new rule'} →</span>
                    <span>{match}</span>
                  </p>
                  {why !== undefined && <Text value={why} isBlock />}
                </li>
              ))}
              {gone.slice(0, 100).map(({ rule }) => (
                <li key={`gone ${rule}`}>
                  <p class="line">
                    <Text value={rule} isBlock class="strong" />
                    <span class="muted">is not in this policy</span>
                  </p>
                </li>
              ))}
            </ol>
          )}
        </Section>
      )}
      {is !== undefined && (
        <Section isTop title="Values that were read">
          <ValueList values={is.attributes} />
        </Section>
      )}
      {is !== undefined && (
        <Section isTop title="Save as a case">
          <p class="muted small">
            Add it to the <code>cases</code> of a file, and run <code>sluice test</code>.
          </p>
          <Copyable text={caseText(request, is)} label="Copy the case" />
        </Section>
      )}
    </>
  );
}
