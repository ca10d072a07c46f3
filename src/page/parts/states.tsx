/** What a view shows instead of data. */
import type { ComponentChildren, JSX } from 'preact';
import type { Resource } from '../server.ts';
import { Text } from './text.tsx';

export function Note({
  title,
  children,
  isProblem = false,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
  readonly isProblem?: boolean;
}): JSX.Element {
  return (
    <div class={`note${isProblem ? ' problem' : ''}`} role={isProblem ? 'alert' : undefined}>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Rows in grey, at the height of real ones. */
export function Loading(): JSX.Element {
  return (
    <div class="loading" role="status" aria-label="Loading">
      {[72, 54, 63, 48, 66, 58].map((width) => (
        <span style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}

/** `missing`: shown where the server has no such endpoint, or nothing for it to say. */
export function Loaded<T>({
  resource,
  missing,
  children,
}: {
  readonly resource: Resource<T>;
  readonly missing: (why: string) => ComponentChildren;
  readonly children: (data: T, isStale: boolean) => ComponentChildren;
}): JSX.Element {
  const { answer } = resource;
  switch (answer.state) {
    case 'loading':
      return <Loading />;
    case 'ready':
      return <>{children(answer.data, answer.isStale)}</>;
    case 'missing':
      return <>{missing(answer.why)}</>;
    case 'failed':
      return (
        <Note title="The server refused to answer" isProblem>
          <p>
            <Text value={answer.why} isBlock />
          </p>
          <button type="button" onClick={resource.reload}>
            Ask again
          </button>
        </Note>
      );
  }
}

export function NotServed({ endpoint }: { readonly endpoint: string }): JSX.Element {
  return (
    <Note title="This server has no such page">
      <p>
        <code>{endpoint}</code> answered 404. The server is older than this page; restart it with the same version.
      </p>
    </Note>
  );
}
