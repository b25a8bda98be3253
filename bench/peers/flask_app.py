"""Plain Flask under gunicorn, the model in process: `gunicorn --workers 2 --threads 8` of Flask's "
"deployment guide."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from bench.peers.predictor import Predictor


def create_app() -> Flask:
    """For gunicorn, called in each worker."""
    app = Flask(__name__)
    predict = Predictor()

    @app.post("/detect")
    def detect() -> Response:
        return jsonify(predict(request.files["image"].read()))

    return app
