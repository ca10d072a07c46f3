/** Before any test: the real parts are there, or the run fails with what could not be got. */
import { fetchAll } from './fetch.ts';

export default async function setup(): Promise<void> {
  await fetchAll();
}
