/** Both servers on the same files, settings and requests, a Redis each: answers, counts, metrics and pages have to be the same. */
import { startRedis } from '../../test/parts/redis.ts';
import { differenceOf, requestText, startPair } from './pair.ts';
import { Random } from '../../test/parts/random.ts';
import { makeRequest, makeWorld } from './worlds.ts';

async function pageOf(port: number, path: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return `${answer.status} ${answer.headers.get('content-type') ?? ''}\n${(await answer.text()).split('\n').toSorted().join('\n')}`;
}

/** Prints the first differences, `most` of them; returns how many there are. */
export async function compareAnswers(
  program: string,
  firstSeed: number,
  worlds: number,
  requests: number,
  most: number,
): Promise<number> {
  const redis = [await startRedis(), await startRedis()] as const;
  let differences = 0;
  let answers = 0;
  const report = (what: string, difference: string | undefined): void => {
    if (difference !== undefined && ++differences <= most) console.log(`${what}${difference}`);
  };
  try {
    for (let seed = firstSeed; seed < firstSeed + worlds; seed++) {
      const random = new Random(seed);
      const { files, settings } = makeWorld(random);
      const before = differences;
      const pair = await startPair({ program, redis, files, settings });
      try {
        for (let at = 0; at < requests; at++) {
          const request = makeRequest(random);
          answers++;
          report(`world ${seed}, answer ${at} to ${requestText(request)}`, differenceOf(await pair.answers(request)));
        }
        report(`world ${seed}: counts`, differenceOf(await pair.counts()));
        for (const [port, path] of [
          ['httpPort', '/healthcheck'],
          ['httpPort', '/nothing'],
          ['debugPort', '/rlconfig'],
        ] as const) {
          const [own, reference] = pair.parts;
          report(
            `world ${seed}: ${path}`,
            differenceOf([await pageOf(own[port], path), await pageOf(reference[port], path)]),
          );
        }
        report(`world ${seed}: metrics`, differenceOf(await pair.metrics()));
      } finally {
        await pair.close();
      }
      if (differences > before) console.log(`world ${seed}: ${JSON.stringify(settings)} ${JSON.stringify(files)}`);
    }
  } finally {
    await Promise.all(redis.map(async (one) => one.stop()));
  }
  console.log(`worlds ${firstSeed} to ${firstSeed + worlds - 1}: ${answers} answers; ${differences} differ`);
  return differences;
}
