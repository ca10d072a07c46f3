/** What a collector wrote of the requests that it received. */

export type Json = Readonly<Record<string, unknown>>;
export type Signal = 'logs' | 'traces' | 'metrics';

/** What arrived with the resource of this run, in the order of arrival. */
export function recordsIn(requests: readonly Json[], signal: Signal, run: string): Json[] {
  const [resources, scopes, list] = {
    logs: ['resourceLogs', 'scopeLogs', 'logRecords'],
    traces: ['resourceSpans', 'scopeSpans', 'spans'],
    metrics: ['resourceMetrics', 'scopeMetrics', 'metrics'],
  }[signal] as [string, string, string];
  return requests
    .flatMap((request) => (request[resources] ?? []) as Json[])
    .filter(({ resource }) => (attributesOf(resource as Json)['run'] as Json)?.['stringValue'] === run)
    .flatMap((one) => one[scopes] as Json[])
    .flatMap((scope) => scope[list] as Json[]);
}

export function attributesOf({ attributes }: Json): Record<string, unknown> {
  return Object.fromEntries(
    ((attributes ?? []) as { key: string; value: unknown }[]).map(({ key, value }) => [key, value]),
  );
}
