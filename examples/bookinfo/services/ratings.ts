/** ratings: the stars that reviewers gave. */
import { sendJson, serve } from './service.ts';

serve('ratings', (_request, response, { pathname }) => {
  if (pathname === '/health') return sendJson(response, 200, { status: 'Ratings is healthy' });
  const [, id] = /^\/ratings\/(.*)$/.exec(pathname) ?? [];
  if (id === undefined) return sendJson(response, 404, { error: 'no such page' });
  if (!/^\d+$/.test(id)) return sendJson(response, 400, { error: 'please provide numeric product ID' });
  return sendJson(response, 200, { id: Number(id), ratings: { Reviewer1: 5, Reviewer2: 4 } });
});
