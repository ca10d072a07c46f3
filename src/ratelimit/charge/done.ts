/** A promise only where something has to be awaited. */
export type Done = undefined | Promise<void>;

export function both(one: Done, other: Done): Done {
  return one === undefined || other === undefined ? (one ?? other) : Promise.all([one, other]).then(() => undefined);
}

/** Done also if it fails. */
export const settled = (answer: unknown): Done =>
  answer instanceof Promise
    ? answer.then(
        () => undefined,
        () => undefined,
      )
    : undefined;

export function andThen(one: Done, next: () => Done): Done {
  return one === undefined ? next() : one.then(next);
}

/** Runs the cleanup after a failure, then rethrows the original error. */
export function unlessFailed(one: Done, next: () => Done, cleanUp: () => Done): Done {
  return one === undefined
    ? next()
    : one.then(next, async (error: unknown) => {
        await cleanUp();
        throw error;
      });
}
