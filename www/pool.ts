/** Workers side by side that do one thing at a time. Each is started when it is first needed. */

type Closing = { close(): void };

export class Pool<Worker extends Closing> {
  private readonly open = new Set<Worker>();
  private readonly idle: Worker[] = [];
  private readonly waiting: (() => void)[] = [];
  private starting = 0;

  /** At most `most` of them, of which `first` may be open already. */
  constructor(
    private most: number,
    private readonly start: () => Promise<Worker>,
    first?: Worker,
  ) {
    if (first) {
      this.open.add(first);
      this.idle.push(first);
    }
  }

  /** Hands a worker to `job` as soon as there is one; fails as the job does, or as a worker does without which there is none. */
  async run<Done>(job: (worker: Worker) => Promise<Done>): Promise<Done> {
    const worker = await this.take();
    try {
      const done = await job(worker);
      this.idle.push(worker);
      return done;
    } catch (error) {
      // Its wasm has trapped and would fail at everything after this: another takes its place.
      this.open.delete(worker);
      worker.close();
      throw error;
    } finally {
      this.waiting.shift()?.();
    }
  }

  private async take(): Promise<Worker> {
    for (;;) {
      const idle = this.idle.pop();
      if (idle) return idle;
      if (this.open.size + this.starting < this.most) {
        this.starting += 1;
        try {
          const worker = await this.start();
          this.open.add(worker);
          return worker;
        } catch (error) {
          const others = this.open.size + this.starting - 1;
          // One that cannot start leaves its work to the others. Whoever waits would wait for ever if there are none.
          this.most = Math.max(others, 1);
          if (others === 0) {
            this.waiting.shift()?.();
            throw error;
          }
        } finally {
          this.starting -= 1;
        }
      } else {
        await new Promise<void>((wake) => this.waiting.push(wake));
      }
    }
  }

  close(): void {
    for (const worker of this.open) worker.close();
  }
}
