/** Runs `work` one at a time. All calls during a run share the next run, so that the last change is always picked up. */
export function oneAtATime<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  const run = (): Promise<T> => {
    running = work().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    if (running === undefined) return run();
    next ??= running.then(start, start);
    return next;
  };
  function start(): Promise<T> {
    next = undefined;
    return run();
  }
}
