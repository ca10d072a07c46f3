/** Something that happens again and again, and those that wait for the next time. */
export class Wake {
  #waiting: (() => void)[] = [];

  now(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
