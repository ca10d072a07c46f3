/** Runs `work` one at a time; however many ask while it runs, one more run answers them all, so that the last change is always seen. */
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
