/**
 * The seeds of a fuzz: from SEED on. The suite has the same ones each time, so that it fails for a change alone; a long run, which sets
 * RUNS, has fresh ones. A failure names its seed: `SEED=<seed> RUNS=1` repeats it.
 */
export function* seeds(count: number): Generator<number> {
  const first = Number(
    process.env['SEED'] ?? (process.env['RUNS'] === undefined ? 0 : Math.floor(Math.random() * 2 ** 31)),
  );
  for (let seed = first; seed < first + count; seed++) yield seed;
}
