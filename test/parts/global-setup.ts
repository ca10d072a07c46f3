/** Runs before all tests: downloads the real servers, or fails with the one that is missing. */
import { fetchAll } from './fetch.ts';

export default async function setup(): Promise<void> {
  await fetchAll();
}
