/** The glass of one player: hands its stream to the `<video>` that is mounted, in either order. */

export interface VideoLike {
  srcObject: MediaProvider | null
}

export class Screen {
  private video: VideoLike | null = null
  private stream: MediaStream | null = null

  attach(video: VideoLike | null): void {
    this.video = video
    if (video !== null && this.stream !== null) video.srcObject = this.stream
  }

  show(stream: MediaStream | null): void {
    // Picture and sound tell of the same stream; giving it anew would start the element anew.
    if (stream === this.stream) return
    this.stream = stream
    if (this.video !== null) this.video.srcObject = stream
  }
}
