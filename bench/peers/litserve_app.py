"""LitServe, as its guide's image example: setup, decode_request, predict; two workers on the CPU."""

import sys
from typing import Any

import litserve

from bench.peers.predictor import Predictor


class DetectAPI(litserve.LitAPI):
    """What LitServe asks for."""

    def setup(self, device: str) -> None:
        self.predictor = Predictor()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads the annotation
        return bytes(request["image"].file.read())

    def predict(self, data: bytes) -> dict[str, Any]:
        return self.predictor(data)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(DetectAPI(api_path="/detect"), accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="warning")
