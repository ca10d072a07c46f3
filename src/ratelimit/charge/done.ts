/** A promise only where something has to be waited for. */
export type Done = undefined | Promise<void>;

export function both(one: Done, other: Done): Done {
  return one === undefined || other === undefined ? (one ?? other) : Promise.all([one, other]).then(() => undefined);
}

export function andThen(one: Done, next: () => Done): Done {
  return one === undefined ? next() : one.then(next);
}

/** What failed has failed still when all is put right. */
export function unlessFailed(one: Done, next: () => Done, putRight: () => Done): Done {
  return one === undefined
    ? next()
    : one.then(next, async (error: unknown) => {
        await putRight();
        throw error;
      });
}
