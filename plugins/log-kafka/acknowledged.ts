/** What an error of the client says of the partitions that it did not fail for. */
import type { ProduceResult, produceV11 } from '@platformatic/kafka';

/** Partitions that have their records although the slice failed: those of other brokers, and others of the same request. */
export function* acknowledged(error: unknown): Generator<number> {
  if (!(error instanceof Error)) return;
  const { produced, response } = error as {
    readonly produced?: ProduceResult;
    readonly response?: Partial<produceV11.ProduceResponse>;
  };
  for (const { partition } of produced?.offsets ?? []) yield partition;
  for (const { partitionResponses } of response?.responses ?? [])
    for (const { index, errorCode } of partitionResponses) if (errorCode === 0) yield index;
  for (const inner of error instanceof AggregateError ? error.errors : []) yield* acknowledged(inner);
  yield* acknowledged(error.cause);
}

/** Keeps in place, of the errors of all attempts, the last one and those that name a partition that none before them does. */
export function forgetOlder(errors: Error[]): void {
  const last = errors.at(-1);
  const known = new Set<number>();
  const kept = errors.filter((error) => {
    const before = known.size;
    for (const partition of acknowledged(error)) known.add(partition);
    return known.size > before || error === last;
  });
  errors.splice(0, errors.length, ...kept);
}
