/** A candidate policy beside the one in force: what it would decide otherwise. */
import type { JSX } from 'preact';
import type { CandidateAnswer, CandidateSample } from '../api.ts';
import { ago, count, counted, dateAndTime } from '../format.ts';
import { Confirmed } from '../parts/confirmed.tsx';
import { Copyable } from '../parts/copyable.tsx';
import { Findings } from '../parts/findings.tsx';
import { Facts, Section } from '../parts/panel.tsx';
import { Loaded, Note } from '../parts/states.tsx';
import { Badge, Text, ValueList } from '../parts/text.tsx';
import { linkTo } from '../route.ts';
import { now } from '../screen.ts';
import { post, useResource } from '../server.ts';

export function Candidate(): JSX.Element {
  const resource = useResource<CandidateAnswer>('/candidate', 2000);
  return (
    <Loaded resource={resource} missing={() => <None />}>
      {(candidate) => <Compared of={candidate} onPromoted={resource.reload} />}
    </Loaded>
  );
}

const None = (): JSX.Element => (
  <Note title="No candidate is loaded">
    <p>
      A candidate decides the same calls beside the policy in force, without effect, and shows here where it differs.
    </p>
    <Copyable text="sluice serve POLICY --candidate CANDIDATE --candidate-share 10%" />
  </Note>
);

const percent = (part: number, whole: number): string =>
  whole === 0 ? '' : ` (${Number(((100 * part) / whole).toPrecision(2))} %)`;

function Compared({ of, onPromoted }: { readonly of: CandidateAnswer; readonly onPromoted: () => void }): JSX.Element {
  const {
    path,
    revision,
    loadedAt,
    inForce,
    refusal,
    share,
    compared,
    differing,
    otherHeaders,
    skipped,
    samples,
    notCompared,
  } = of;
  const promote = async (): Promise<string> => {
    // this revision or nothing: the files of the candidate may have changed since it was shown
    const { revision: promoted } = await post<{ revision: string }>(
      `/candidate/promote?revision=${revision ?? ''}`,
      {},
    );
    onPromoted();
    return `${promoted} is in force.`;
  };
  return (
    <div class="document">
      <Facts
        facts={[
          ['Revision', <span class="mono">{revision ?? 'none has loaded'}</span>],
          [
            'Loaded',
            loadedAt === null ? 'not yet' : <span title={dateAndTime(loadedAt)}>{ago(loadedAt, now.value)}</span>,
          ],
          ['Compared', `${counted(compared, 'call')}${share < 100 ? `, ${share} % of all` : ''}`],
          [
            'Decided otherwise',
            <span
              class={differing > 0 ? 'differs' : undefined}
            >{`${count(differing)}${percent(differing, compared)}`}</span>,
          ],
          ['Same, with other headers', count(otherHeaders)],
          ...(skipped > 0 ? [['Skipped, since too many waited', count(skipped)] as const] : []),
          ['Read from', <Text value={path} isBlock class="mono" />],
        ]}
      />
      {refusal !== null && (
        <Section isTop title="Its newest version was refused">
          <p class="problem">
            <Text value={refusal.why} isBlock />
          </p>
          <Findings findings={refusal.findings} />
        </Section>
      )}
      {inForce ? (
        <p>
          <Badge tone="allow">in force</Badge> The candidate is the policy in force, and compared with nothing. Copy it
          over the files of the policy, or they take over when they change.
        </p>
      ) : (
        revision !== null && (
          <Confirmed text="Promote" question={`Put ${revision} in force, in all workers?`} onConfirm={promote} />
        )
      )}
      {!inForce && <Differences of={of} />}
      {notCompared.length > 0 && (
        <Section isTop title="Rules whose differences mean nothing">
          <ValueList values={Object.fromEntries(notCompared.map(({ rule, why }) => [rule, why]))} />
        </Section>
      )}
      {samples.length > 0 && (
        <Section isTop title="Samples">
          <ol class="chain">
            {samples.map((sample) => (
              <Sample key={`${sample.id} ${sample.time}`} of={sample} />
            ))}
          </ol>
        </Section>
      )}
    </div>
  );
}

function Differences({
  of: { byRule, compared, otherDifferences, since },
}: {
  readonly of: CandidateAnswer;
}): JSX.Element {
  return (
    <Section isTop title="Differences by rule">
      {byRule.length === 0 ? (
        <p class="muted">
          {compared === 0
            ? 'No call was compared yet.'
            : `None: both decide every call alike${since === null ? '' : ` since ${dateAndTime(since)}`}.`}
        </p>
      ) : (
        <div class="wide-table" role="region" aria-label="Differences by rule" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Now</th>
                <th scope="col">by rule</th>
                <th scope="col">Then</th>
                <th scope="col">by rule</th>
                <th scope="col" class="number">
                  Calls
                </th>
              </tr>
            </thead>
            <tbody>
              {byRule
                .toSorted((one, other) => other.count - one.count)
                .map(({ ruleNow, ruleThen, now: is, then, count: calls }) => (
                  <tr key={`${is} ${ruleNow ?? ''} ${then} ${ruleThen ?? ''}`}>
                    <td>
                      <Badge tone={is}>{is}</Badge>
                    </td>
                    <td>
                      <Text value={ruleNow} isBlock />
                    </td>
                    <td>
                      <Badge tone={then}>{then}</Badge>
                    </td>
                    <td>
                      <Text value={ruleThen} isBlock />
                    </td>
                    <td class="number">{count(calls)}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      )}
      {otherDifferences > 0 && (
        <p class="muted">{counted(otherDifferences, 'call')} more, of kinds that are not listed.</p>
      )}
    </Section>
  );
}

function Sample({
  of: { time, id, request, now: is, then, why, values },
}: {
  readonly of: CandidateSample;
}): JSX.Element {
  return (
    <li>
      <p class="line">
        <Badge tone={is.outcome}>{is.outcome}</Badge>
        <Text value={is.rule} />
        <span class="arrow" role="img" aria-label="becomes">
          →
        </span>
        <Badge tone={then.outcome}>{then.outcome}</Badge>
        <Text value={then.rule} />
      </p>
      <p>
        <Text value={`${request.method ?? ''} ${request.host ?? ''}${request.path ?? ''}`} isBlock class="mono" />
      </p>
      <p>
        <Text value={why} isBlock />
      </p>
      <ValueList values={values} />
      <p class="muted small line">
        <span>{dateAndTime(time)}</span>
        <Text value={[request.client, request.principal].filter(Boolean).join(' ')} isBlock />
        <a href={linkTo('decisions', { id })}>why</a>
        <a href={linkTo('playground', { id })}>playground</a>
      </p>
    </li>
  );
}
