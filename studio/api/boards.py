"""Pictures that users keep together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from studio.api.schemas import BoardContent, BoardName, Changed, Error, NewBoard, Pictures
from studio.api.users import User
from studio.store.library import Board

if TYPE_CHECKING:
    from studio import Studio


def add_boards(v1: APIRouter, studio: Studio) -> None:
    library = studio.library

    @v1.get("/boards", tags=["library"])
    def list_boards(user: User) -> list[Board]:
        """By name."""
        return library.boards(user)

    @v1.post("/boards", tags=["library"], status_code=201, responses={409: {"model": Error}})
    def create_board(body: NewBoard, user: User) -> Board:
        return library.create_board(user, body.name, body.pictures)

    @v1.get("/boards/{id}", tags=["library"])
    def get_board(id: str, user: User) -> BoardContent:
        pictures = library.board_pictures(id, user=user)
        return BoardContent(board=_board(id, user), pictures=pictures)

    @v1.patch("/boards/{id}", tags=["library"], responses={409: {"model": Error}})
    def rename_board(id: str, body: BoardName, user: User) -> Board:
        library.rename_board(id, body.name, user=user)
        return _board(id, user)

    @v1.delete("/boards/{id}", tags=["library"], status_code=204)
    def delete_board(id: str, user: User) -> None:
        """The pictures on it stay."""
        library.delete_board(id, user=user)

    @v1.post("/boards/{id}/add", tags=["library"])
    def add_to_board(id: str, body: Pictures, user: User) -> Changed:
        return Changed(changed=library.add_to_board(id, body.pictures, user=user))

    @v1.post("/boards/{id}/remove", tags=["library"])
    def remove_from_board(id: str, body: Pictures, user: User) -> Changed:
        return Changed(changed=library.remove_from_board(id, body.pictures, user=user))

    def _board(id: str, user: str) -> Board:
        return next(board for board in library.boards(user) if board.id == id)
