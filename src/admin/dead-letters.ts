/**
 * `/deadletters`: reports that a backend refused, in memory and on disk.
 * **In**: GETs; POSTs of this machine. **Out**: rows, one with its values, or what was settled. **Fails**: with 400 and a sentence, 403
 * from elsewhere, since values may be secret, 404 for an id that is not there, and 503 for one that a worker may have which is away.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { withoutCredentialsIn } from '../attributes/credentials.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { isFromOtherPage, LETTERS_REFUSED, mayChange, OTHER_PAGE_REFUSED, whoAsks } from './change-access.ts';
import type { AdminSources } from './sources.ts';
import type { Query } from './http-app.ts';

/** Ids of all letters that a handler of several workers may have. */
const MAX_BYTES = 1024 * 1024;

/** Of a list, in one write. */
const PIECE_CHARACTERS = 64 * 1024;

/** For the log. */
export interface LettersSettled {
  readonly kind: 'replay' | 'drop';
  readonly handler: string | undefined;
  readonly settled: number;
  readonly failed: number;
  readonly who: string;
}

export function addDeadLetters(
  app: FastifyInstance,
  sources: Pick<AdminSources, 'letters'>,
  onSettled: (done: LettersSettled) => void,
): void {
  /** Requests that come at once share one list, whose octets all their sockets send. */
  const lists = new Map<string, Promise<readonly Buffer[]>>();
  const listed = (handler: string | undefined): Promise<readonly Buffer[]> => {
    const key = JSON.stringify(handler ?? null);
    let list = lists.get(key);
    if (list === undefined) {
      list = listOf(sources, handler).finally(() => lists.delete(key));
      lists.set(key, list);
    }
    return list;
  };
  app.get<{ Querystring: Query }>('/deadletters', async (request, reply) => {
    if (isFromOtherPage(request)) return reply.code(403).send(OTHER_PAGE_REFUSED);
    const asked = queryOf(request.query, ['handler']);
    if ('wrong' in asked) return reply.code(400).send({ error: asked.wrong });
    const pieces = await listed(asked.handler);
    const [only] = pieces;
    void reply.type('application/json; charset=utf-8');
    // A reader that is slow is sent a piece at a time.
    return reply.send(pieces.length === 1 ? only : Readable.from(pieces, { objectMode: false }));
  });
  app.get<{ Querystring: Query }>('/deadletters/show', async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(LETTERS_REFUSED);
    const asked = queryOf(request.query, ['id', 'handler']);
    if ('wrong' in asked) return reply.code(400).send({ error: asked.wrong });
    const { id = '', handler } = asked;
    const { shown, incomplete } = await sources.letters({ kind: 'show', id, handler });
    if (shown === undefined && incomplete !== undefined) return reply.code(503).send({ error: incomplete });
    if (shown === undefined) return reply.code(404).send({ error: `no dead letter has the id ${id}` });
    return reply.type('application/json; charset=utf-8').send(shown);
  });
  for (const kind of ['replay', 'drop'] as const) {
    app.post(`/deadletters/${kind}`, { bodyLimit: MAX_BYTES }, async (request, reply) => {
      if (!mayChange(request)) return reply.code(403).send(LETTERS_REFUSED);
      const asked = wantedOf(request.body);
      if ('wrong' in asked) return reply.code(400).send({ error: asked.wrong });
      const { settled, failed, incomplete } = await sources.letters({ kind, ...asked });
      onSettled({
        kind,
        handler: asked.handler,
        settled: settled.length,
        failed: failed.length,
        who: whoAsks(request),
      });
      return { settled, failed, incomplete };
    });
    app.get(`/deadletters/${kind}`, async (_request, reply) =>
      reply.code(405).header('allow', 'POST').send({ error: 'dead letters are settled by POST' }),
    );
  }
}

/** JSON in pieces, made in slices: 10 000 rows with long reasons are 40 MB. */
async function listOf(
  { letters }: Pick<AdminSources, 'letters'>,
  handler: string | undefined,
): Promise<readonly Buffer[]> {
  const slice = new TimeSlice();
  await slice.next(); // others may have come in this turn of the event loop
  const { rows, more, incomplete } = await letters({ kind: 'list', handler });
  const pieces: Buffer[] = [];
  let text = '{"letters":[';
  for (const [at, row] of rows.entries()) {
    text += `${at === 0 ? '' : ','}${JSON.stringify({ ...row, why: withoutCredentialsIn(row.why) })}`;
    if (text.length >= PIECE_CHARACTERS) {
      pieces.push(Buffer.from(text));
      text = '';
    }
    if (slice.isOver) await slice.next();
  }
  pieces.push(Buffer.from(`${text}],${JSON.stringify({ more, incomplete }).slice(1)}`));
  return pieces;
}

type Asked<Name extends string> = { readonly [N in Name]?: string } | { readonly wrong: string };

function queryOf<Name extends string>(query: Query, names: readonly Name[]): Asked<Name> {
  for (const [name, value] of Object.entries(query)) {
    if (!(names as readonly string[]).includes(name))
      return { wrong: `unknown parameter ${name}; expected ${names.join(' and ')}` };
    if (typeof value !== 'string') return { wrong: `${name} is given several times` };
  }
  return query as { readonly [N in Name]?: string };
}

type Wanted = { readonly ids: readonly string[] | undefined; readonly handler: string | undefined };

function wantedOf(body: unknown): Wanted | { readonly wrong: string } {
  const { ids, all, handler, ...others } = (typeof body === 'object' && body !== null ? body : {}) as Readonly<
    Record<string, unknown>
  >;
  const [strange] = Object.keys(others);
  if (strange !== undefined) return { wrong: `unknown field ${strange}; expected ids or all, and handler` };
  if (handler !== undefined && typeof handler !== 'string') return { wrong: 'handler must be the name of a handler' };
  if (all === true && ids === undefined) return { ids: undefined, handler };
  const isList = Array.isArray(ids) && ids.length > 0 && ids.every((id) => typeof id === 'string');
  if (all !== undefined || !isList) return { wrong: 'expected {"ids": [...]}, or {"all": true}' };
  return { ids: ids as readonly string[], handler };
}
